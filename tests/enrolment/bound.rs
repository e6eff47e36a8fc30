//! Whoever steps an operation keeps device memory ahead of it: within the steps, or apart from them.

use devid::client::{Binding, Client, Continued, Destination};
use devid::cmp::{ActionKind, Operation, Signer};
use devid::store::{Store, StoreErrorKind};
use devid::{Code, Error};

use crate::certificates::{key, now, provider};
use crate::mock_ca::{Device, MockCa};

fn place(store: &Store) -> Destination<'_> {
    Destination { store, name: "router", purpose: "ldevid" }
}

fn client(ca: &MockCa) -> Client {
    Device::config(ca).build().unwrap()
}

fn begun(client: &Client, store: &Store) -> (Operation, Binding) {
    let mut operation = client.enroll(Signer::Key(key()), &Device::subject()).unwrap();
    let binding = Binding::begin(place(store), &mut operation, None).unwrap();
    (operation, binding)
}

/// Steps to the end; what each step answered.
fn run(ca: &mut MockCa, operation: &mut Operation, binding: &mut Binding) -> Result<Vec<Option<ActionKind>>, Error> {
    let mut answered = Vec::new();
    loop {
        let mut seen = 0;
        let action = binding.step(operation, now(), &mut |_, _| seen += 1)?;
        answered.push(action);
        match action {
            None => binding.keep(operation)?,
            Some(ActionKind::Send) => {
                let answer = ca.answer(operation.output().unwrap());
                operation.feed(&answer)?;
            }
            Some(ActionKind::Accept) => binding.accept(operation)?,
            Some(ActionKind::Done) => return Ok(answered),
            Some(other) => panic!("{other:?}"),
        }
        assert!(seen <= 1, "a step is told once");
    }
}

const ACTIONS: [ActionKind; 4] = [ActionKind::Send, ActionKind::Accept, ActionKind::Send, ActionKind::Done];

#[test]
fn device_memory_is_ahead_of_every_step_within_it_or_apart() {
    for is_apart in [false, true] {
        let (mut ca, store) = (MockCa::new(), Store::in_memory(provider().clone()));
        let (mut operation, mut binding) = begun(&client(&ca), &store);
        binding.set_apart(is_apart).unwrap();
        let answered = run(&mut ca, &mut operation, &mut binding).unwrap();
        assert_eq!(answered.iter().flatten().copied().collect::<Vec<_>>(), ACTIONS);
        // Before each message, the decision and the end; and once more for the certificate that is taken.
        assert_eq!(answered.iter().filter(|one| one.is_none()).count(), if is_apart { 5 } else { 0 });
        assert!(binding.is_finished());
        assert_eq!(store.current("router").unwrap().certificate, operation.issued().unwrap().certificate);
    }
}

#[test]
fn a_step_writes_nothing_where_device_memory_is_apart_and_the_next_waits_for_it() {
    let (ca, store) = (MockCa::new(), Store::in_memory(provider().clone()));
    let (mut operation, mut binding) = begun(&client(&ca), &store);
    binding.set_apart(true).unwrap();
    assert_eq!(binding.keep(&mut operation).unwrap_err().code(), Code::State, "nothing is to be kept");
    for _ in 0..3 {
        assert_eq!(binding.step(&mut operation, now(), &mut |_, _| ()).unwrap(), None);
        assert!(place(&store).unfinished().unwrap().is_none(), "nothing was written");
    }
    assert_eq!(binding.set_apart(false).unwrap_err().code(), Code::State);
    binding.keep(&mut operation).unwrap();
    assert!(place(&store).unfinished().unwrap().is_some());
    assert_eq!(binding.step(&mut operation, now(), &mut |_, _| ()).unwrap(), Some(ActionKind::Send));
}

#[test]
fn what_was_bound_keeps_others_out_until_it_is_dropped_and_is_bound_again() {
    let (mut ca, store) = (MockCa::new(), Store::in_memory(provider().clone()));
    let client = client(&ca);
    let (mut operation, mut binding) = begun(&client, &store);
    assert_eq!(binding.step(&mut operation, now(), &mut |_, _| ()).unwrap(), Some(ActionKind::Send));
    std::thread::scope(|scope| {
        let other = scope.spawn(|| Binding::resume(place(&store), &client, None).map(drop));
        assert_eq!(other.join().unwrap().unwrap_err().code(), Code::Locked);
    });
    drop((operation, binding));
    let (Continued::Operation(mut operation), mut binding) = Binding::resume(place(&store), &client, None).unwrap()
    else {
        panic!("not installed yet")
    };
    run(&mut ca, &mut operation, &mut binding).unwrap();
    assert!(store.current("router").is_ok());
}

#[test]
fn an_operation_that_is_refused_is_given_up_in_device_memory() {
    let (mut ca, store) = (MockCa::new(), Store::in_memory(provider().clone()));
    let (mut operation, mut binding) = begun(&client(&ca), &store);
    assert_eq!(binding.step(&mut operation, now(), &mut |_, _| ()).unwrap(), Some(ActionKind::Send));
    let answer = ca.answer(operation.output().unwrap());
    operation.feed(&answer).unwrap();
    assert_eq!(binding.step(&mut operation, now(), &mut |_, _| ()).unwrap(), Some(ActionKind::Accept));
    operation.reject("not this one").unwrap();
    assert_eq!(run(&mut ca, &mut operation, &mut binding).unwrap_err().code(), Code::Refused);
    assert!(binding.is_finished());
    assert_eq!(store.load_operation("router").unwrap_err().kind, StoreErrorKind::NotFound);
}
