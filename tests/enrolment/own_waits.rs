//! Waits of operations that programs drive, by a clock that jumps: the server has asked for seconds, and the clock says years.

use devid::client::{Client, Destination, Owner};
use devid::cmp::{Action, Signer};
use devid::store::Store;
use devid::transport::{Exchange, ExchangeLimits, Reply, TransportError};
use devid::{Code, Error, Time};

use crate::certificates::{key, now, provider};
use crate::mock_ca::{Device, MockCa};
use crate::renewal::DAY;

/// What the server asks to wait.
const ASKED: u32 = 600;
const YEAR: i64 = 365 * DAY;

struct Line<'a>(&'a mut MockCa);

impl Exchange for Line<'_> {
    fn exchange(&mut self, request: &[u8], _: &ExchangeLimits) -> Result<Reply, TransportError> {
        Ok(Reply::from_body(self.0.answer(request)))
    }
}

/// Sleeps by a clock that jumps while it sleeps for the first time; leaves after so many waits.
struct Sleeper {
    clock: Time,
    jumps: i64,
    slept: Vec<u32>,
    most: usize,
}

impl Sleeper {
    fn at(clock: Time, most: usize) -> Self {
        Sleeper { clock, jumps: 0, slept: Vec::new(), most }
    }
}

impl Owner for Sleeper {
    fn now(&mut self) -> Time {
        self.clock
    }

    fn wait(&mut self, seconds: u32, _: &[String]) -> Result<(), Error> {
        if self.slept.len() == self.most {
            return Err(Error::new(Code::Cancelled, "later"));
        }
        self.slept.push(seconds);
        self.clock = self.clock.plus(i64::from(seconds) + std::mem::take(&mut self.jumps));
        Ok(())
    }
}

/// A server that lets wait twice; whether its answers have the time.
fn waiting(tells_time: bool) -> (MockCa, Client) {
    let mut ca = MockCa::new().answers_waiting(2, ASKED.into());
    ca.bend = Some(Box::new(move |answer| answer.header.message_time = tells_time.then(now)));
    let mut config = Device::config(&ca);
    config.message_time_window_seconds = None;
    let client = config.build().unwrap();
    (ca, client)
}

#[test]
fn a_clock_that_jumps_while_an_operation_sleeps_draws_no_wait_out_and_ends_no_operation() {
    for tells_time in [false, true] {
        for jumps in [-DAY, -60, -YEAR, 60, DAY, YEAR] {
            // Without a word about the time, one that is a year later is.
            if jumps == YEAR && !tells_time {
                continue;
            }
            let (mut ca, client) = waiting(tells_time);
            let mut operation = client.enroll(Signer::Key(key()), &Device::subject()).unwrap();
            let mut sleeper = Sleeper { jumps, ..Sleeper::at(now(), 9) };
            let done = client.complete_over(&mut operation, &mut Line(&mut ca), &mut sleeper);
            assert!(done.is_ok(), "{jumps} {tells_time}: {done:?}");
            assert!(sleeper.slept.iter().all(|seconds| *seconds <= ASKED), "{jumps}: {:?}", sleeper.slept);
            assert!(sleeper.slept.len() <= 4, "{jumps}: {:?}", sleeper.slept);
        }
    }
}

/// Asked for and saved; then resumed by a clock that is off from its start on. How it went, and what was slept.
fn resumed(off: i64, tells_time: bool) -> (MockCa, Store, Result<(), Error>, Vec<u32>) {
    let (mut ca, client) = waiting(tells_time);
    let store = Store::in_memory(provider().clone());
    let to = Destination { store: &store, name: "router", purpose: "ldevid" };
    let began =
        client.enroll_into(to, &key(), &Device::subject(), &mut Line(&mut ca), &mut Sleeper::at(now(), 0)).unwrap_err();
    assert_eq!(began.code(), Code::Cancelled);
    let mut sleeper = Sleeper::at(now().plus(i64::from(ASKED) + off), 9);
    let done = client.resume(to, &mut Line(&mut ca), &mut sleeper).map(|_| ());
    (ca, store, done, sleeper.slept)
}

#[test]
fn a_saved_wait_goes_on_by_a_clock_that_begins_anew_and_is_not_given_up_by_one_that_is_ahead() {
    for tells_time in [false, true] {
        for off in [0, -60, -DAY, -YEAR, DAY, YEAR] {
            if off == YEAR && !tells_time {
                continue;
            }
            let (ca, _, done, slept) = resumed(off, tells_time);
            assert!(done.is_ok(), "{off} {tells_time}: {done:?}");
            assert_eq!(ca.bodies().iter().filter(|body| **body == "ir").count(), 1, "{off}: {:?}", ca.bodies());
            assert!(slept.iter().all(|seconds| *seconds <= ASKED) && slept.len() <= 2, "{off}: {slept:?}");
        }
    }
    // In 1970 the certificate begins later, which is another wait; what the server has asked for is over.
    let (ca, ..) = resumed(100 - now().unix(), false);
    assert_eq!(ca.bodies()[..4], ["ir", "pollReq", "pollReq", "pollReq"]);
    // One look at a clock alone ends nothing.
    let (ca, _, done, _) = resumed(60 * DAY, false);
    assert!(done.is_ok(), "{done:?}");
    assert_eq!(ca.bodies()[..3], ["ir", "pollReq", "pollReq"]);
}

/// A CA whose clock is behind by so much, which nobody can tell from a right one.
#[test]
fn a_clock_that_is_ahead_once_is_contradicted_by_a_ca_whose_clock_is_a_little_behind() {
    for behind in [0, 30, 600, 7200] {
        for ahead in [40 * DAY, 400 * DAY] {
            let (mut ca, client) = waiting(true);
            ca.bend = Some(Box::new(move |answer| answer.header.message_time = Some(now().plus(-behind))));
            let key = key();
            let mut operation = client.enroll(Signer::Key(key.clone()), &Device::subject()).unwrap();
            let _ = client.complete_over(&mut operation, &mut Line(&mut ca), &mut Sleeper::at(now(), 0));
            operation = client.restore(Signer::Key(key), &operation.save().unwrap()).unwrap();
            // A look while it waits, by the clock that is ahead; then by the right one.
            operation.step(now().plus(ahead)).unwrap();
            let done = client.complete_over(&mut operation, &mut Line(&mut ca), &mut Sleeper::at(now(), 9));
            assert!(done.is_ok(), "{behind} {ahead}: {done:?}");
            assert_eq!(ca.bodies().iter().filter(|body| **body == "ir").count(), 1);
        }
    }
}

/// Sleeps as long as the device is on.
struct Start {
    clock: Time,
    ends: Time,
}

impl Owner for Start {
    fn now(&mut self) -> Time {
        self.clock
    }

    fn wait(&mut self, seconds: u32, _: &[String]) -> Result<(), Error> {
        self.clock = self.clock.plus(i64::from(seconds));
        if self.clock <= self.ends { Ok(()) } else { Err(Error::new(Code::Cancelled, "switched off")) }
    }
}

/// A board without a battery is on for so long each day, and its clock begins at the same date; the first start begins the operation later.
/// After how many starts it is done, of a CA that lets it wait three times.
fn starts_until_done(told: i64, on: i64, later: i64, tells_time: bool) -> usize {
    let mut ca = MockCa::new().answers_waiting(3, told);
    ca.bend = Some(Box::new(move |answer| answer.header.message_time = tells_time.then(now)));
    let mut config = Device::config(&ca);
    config.message_time_window_seconds = None;
    let client = config.build().unwrap();
    let store = Store::in_memory(provider().clone());
    let to = Destination { store: &store, name: "router", purpose: "ldevid" };
    for start in 0..60 {
        let begins = now().plus(60 + if start == 0 { later } else { 0 });
        let mut owner = Start { clock: begins, ends: begins.plus(on) };
        let done = match start {
            0 => client.enroll_into(to, &key(), &Device::subject(), &mut Line(&mut ca), &mut owner).map(|_| ()),
            _ => client.resume(to, &mut Line(&mut ca), &mut owner).map(|_| ()),
        };
        match done {
            Ok(()) => {
                assert_eq!(ca.bodies().iter().filter(|body| **body == "ir").count(), 1);
                return start;
            }
            Err(error) => assert_eq!(error.code(), Code::Cancelled, "{told} {on} {later} {start}: {error}"),
        }
    }
    panic!("{told} {on} {later}: {:?}", ca.bodies());
}

#[test]
fn a_clock_that_begins_at_the_same_date_with_each_start_draws_no_wait_out() {
    for tells_time in [false, true] {
        for later in [0, 600, 5 * 3600] {
            for (told, on, most) in [
                (4 * 3600, 8 * 3600, 3),
                (12 * 3600, 8 * 3600, 12),
                (DAY, 8 * 3600, 12),
                (DAY, 600, 36),
                (7 * DAY, 8 * 3600, 24),
            ] {
                let starts = starts_until_done(told, on, later, tells_time);
                assert!(starts <= most, "{told} {on} {later}: {starts}");
            }
        }
    }
}

#[test]
fn a_clock_back_by_less_than_an_hour_ends_no_saved_wait_before_its_time() {
    let (mut ca, client) = waiting(false);
    let key = key();
    let mut operation = client.enroll(Signer::Key(key.clone()), &Device::subject()).unwrap();
    let slept = client.complete_over(&mut operation, &mut Line(&mut ca), &mut Sleeper::at(now(), 0));
    assert_eq!(slept.unwrap_err().code(), Code::Cancelled);
    let saved = operation.save().unwrap();
    for off in [-3000, -60, 0, 300] {
        let mut back = client.restore(Signer::Key(key.clone()), &saved).unwrap();
        back.step(now().plus(off)).unwrap();
        let Some(Action::Wait { seconds, .. }) = back.action() else { panic!("{off}: {:?}", back.action()) };
        assert_eq!(i64::from(seconds), i64::from(ASKED) - off.max(0), "{off}");
    }
}

/// A device without a clock is let wait without an end, by answers a day apart; it is saved and restored before each of so many polls.
fn patience_without_a_clock(
    tells_time: impl Fn(i64) -> Option<Time> + 'static,
    polls: i64,
) -> (i64, Result<(), Error>) {
    let mut ca = MockCa::new().answers_waiting(u32::MAX, ASKED.into());
    let answers = std::rc::Rc::new(std::cell::Cell::new(0));
    let counted = answers.clone();
    ca.bend = Some(Box::new(move |answer| {
        answer.header.message_time = tells_time(counted.get());
        counted.set(counted.get() + 1);
    }));
    let client = Device::config(&ca).build().unwrap().without_clock();
    let key = key();
    let mut operation = client.enroll(Signer::Key(key.clone()), &Device::subject()).unwrap();
    // Each start begins at the same moment, which is all that is known.
    let mut outcome = client.complete_over(&mut operation, &mut Line(&mut ca), &mut Sleeper::at(now(), 0));
    while outcome.as_ref().is_err_and(|error| error.code() == Code::Cancelled) && answers.get() < polls {
        operation = client.restore(Signer::Key(key.clone()), &operation.save().unwrap()).unwrap();
        outcome = client.complete_over(&mut operation, &mut Line(&mut ca), &mut Sleeper::at(now(), 1));
    }
    (answers.get(), outcome)
}

#[test]
fn without_a_clock_the_times_in_the_answers_end_a_wait_that_has_no_end() {
    // 30 days by max_total_seconds and the two that one witness alone may have leapt, from the first answer on, whatever the year.
    for begin in [Time::from_unix(0), now(), now().plus(50 * YEAR)] {
        let (answers, outcome) = patience_without_a_clock(move |count| Some(begin.plus(count * DAY)), 100);
        let error = outcome.unwrap_err();
        assert_eq!((error.code(), answers), (Code::PollExhausted, 34), "{error}");
        assert!(error.message().contains("max_total_seconds"), "{error}");
    }
    // The dark twin: answers that tell no time, or the same again and again, or one from before, say that nothing has passed.
    let tellers: [fn(i64) -> Option<Time>; 3] = [|_| None, |_| Some(now()), |count| Some(now().plus(-count * DAY))];
    for tells_time in tellers {
        let (answers, outcome) = patience_without_a_clock(tells_time, 100);
        assert_eq!((outcome.unwrap_err().code(), answers >= 100), (Code::Cancelled, true));
    }
}

/// One server of the CA's has another time, in the first answer, in one between or in a poll: nothing is thrown away, and nothing asked anew.
#[test]
fn without_a_clock_one_answer_with_another_time_ends_nothing() {
    for which in [0, 1, 2, 3, 7] {
        for off in [-400 * DAY, -40 * DAY, 40 * DAY, 400 * DAY] {
            let tells = move |count| Some(now().plus(count * 600 + if count == which { off } else { 0 }));
            let (answers, outcome) = patience_without_a_clock(tells, 12);
            let code = outcome.unwrap_err().code();
            assert_eq!((answers >= 12, code), (true, Code::Cancelled), "{which} {off}");
        }
    }
}

/// A CA that tells no time, or whose clock stands, and lets wait without an end is given up once the waits that it has told make the whole.
#[test]
fn the_waits_that_were_told_end_a_wait_that_has_no_end() {
    for (restarts, stands) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut ca = MockCa::new().answers_waiting(u32::MAX, DAY);
        ca.bend = Some(Box::new(move |answer| answer.header.message_time = stands.then(now)));
        let mut config = Device::config(&ca);
        config.message_time_window_seconds = None;
        let client = config.build().unwrap();
        let key = key();
        let mut operation = client.enroll(Signer::Key(key.clone()), &Device::subject()).unwrap();
        let (mut clock, mut waits) = (now(), 0);
        let outcome = loop {
            let mut sleeper = Sleeper::at(clock, if restarts { 1 } else { 99 });
            let outcome = client.complete_over(&mut operation, &mut Line(&mut ca), &mut sleeper);
            (clock, waits) = (sleeper.clock, waits + sleeper.slept.len());
            match outcome {
                Err(error) if error.code() == Code::Cancelled => {
                    operation = client.restore(Signer::Key(key.clone()), &operation.save().unwrap()).unwrap();
                }
                outcome => break outcome,
            }
        };
        let error = outcome.unwrap_err();
        assert_eq!((error.code(), waits), (Code::PollExhausted, 31), "{restarts} {stands}: {error}");
    }
}
