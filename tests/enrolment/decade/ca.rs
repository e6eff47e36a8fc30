//! The CA of one device: well most of the time, and in trouble now and then.

use std::cell::Cell;
use std::rc::Rc;

use devid::Time;
use devid::asn1::cmp::{InfoTypeAndValue, PkiStatus, PkiStatusInfo};
use devid::asn1::der::{element, sequence};
use devid::asn1::oid;
use devid::transport::{Exchange, ExchangeLimits, Phase, Reply, TransportError, TransportErrorKind as Kind};
use devid::validation::KeyUsage;

use super::Dice;
use crate::certificates::{Builder, Party, date, time};
use crate::mock_ca::MockCa;
use crate::renewal::DAY;

/// What befalls a CA, or the way to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TroubleKind {
    Refuses,
    SaysRevoked,
    Unavailable,
    LetsWait,
    NeverApproves,
    Dead,
    Busy,
    Garbage,
    LosesAnswers,
    IssuesShort,
    ClockWrong,
    NewIssuer,
    IssuerEnds,
    NewSigner,
    NewRoot,
}

impl TroubleKind {
    pub const ALL: [TroubleKind; 15] = [
        TroubleKind::Refuses,
        TroubleKind::SaysRevoked,
        TroubleKind::Unavailable,
        TroubleKind::LetsWait,
        TroubleKind::NeverApproves,
        TroubleKind::Dead,
        TroubleKind::Busy,
        TroubleKind::Garbage,
        TroubleKind::LosesAnswers,
        TroubleKind::IssuesShort,
        TroubleKind::ClockWrong,
        TroubleKind::NewIssuer,
        TroubleKind::IssuerEnds,
        TroubleKind::NewSigner,
        TroubleKind::NewRoot,
    ];

    pub fn words(self) -> &'static str {
        match self {
            TroubleKind::Refuses => "the CA refuses (badRequest)",
            TroubleKind::SaysRevoked => "the CA says certRevoked of a certificate that is not",
            TroubleKind::Unavailable => "the CA refuses (systemUnavail)",
            TroubleKind::LetsWait => "the CA lets wait, then issues",
            TroubleKind::NeverApproves => "the CA lets wait without an end",
            TroubleKind::Dead => "nobody is there",
            TroubleKind::Busy => "503 with Retry-After",
            TroubleKind::Garbage => "answers are garbage",
            TroubleKind::LosesAnswers => "half of the answers are lost after the CA has acted",
            TroubleKind::IssuesShort => "certificates of minutes",
            TroubleKind::ClockWrong => "the CA's clock is wrong",
            TroubleKind::NewIssuer => "a new issuing CA",
            TroubleKind::IssuerEnds => "the issuing CA ends before what it issues",
            TroubleKind::NewSigner => "a new CMP signer",
            TroubleKind::NewRoot => "a new root",
        }
    }

    /// Whether the CA is of use to its devices meanwhile.
    fn is_well(self) -> bool {
        use TroubleKind as T;
        matches!(self, T::LetsWait | T::NewIssuer | T::IssuerEnds | T::NewSigner | T::NewRoot)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Trouble {
    pub kind: TroubleKind,
    pub begin: Time,
    pub end: Time,
}

/// What is shared with the closures of the CA: what time it really is, its clock, how long certificates last.
#[derive(Clone)]
pub struct Shared {
    pub truth: Rc<Cell<Time>>,
    pub clock_off: Rc<Cell<i64>>,
    pub lifetime: Rc<Cell<i64>>,
}

pub struct Ca {
    pub mock: MockCa,
    pub shared: Shared,
    pub lifetime: i64,
    troubles: Vec<Trouble>,
    next: usize,
    pub met: Vec<TroubleKind>,
    dice: Dice,
    /// Its successor, and since when it is the one that counts.
    new_root: Option<(Party, Option<Time>)>,
    /// When the CA became well again.
    pub well_since: Time,
    pub request_times: Vec<Time>,
}

/// What it knows when it is asked: no certificates of CAs, and no successor of its root.
fn plain_info() -> Vec<InfoTypeAndValue> {
    vec![InfoTypeAndValue { info_type: oid::IT_CA_CERTS, value: Vec::new() }]
}

fn root(valid: (Time, Time)) -> Party {
    Builder::ca("Operator root").valid(valid.0, valid.1).self_signed()
}

impl Ca {
    pub fn new(start: Time, years: i64, mut dice: Dice) -> Self {
        let mut mock = MockCa::new();
        mock.confirms_once = true;
        mock.info = plain_info();
        mock.root = root((date(2020, 1, 1), date(2060, 1, 1)));
        mock.supplier = Builder::ca("Supplier root").valid(date(2020, 1, 1), date(2080, 1, 1)).self_signed();
        let shared = Shared { truth: Rc::new(Cell::new(start)), clock_off: Rc::default(), lifetime: Rc::default() };
        let lifetime = dice.one_of(&[365 * DAY, 365 * DAY, 90 * DAY, 30 * DAY, 7 * DAY]);
        shared.lifetime.set(lifetime);
        let own = shared.clone();
        mock.issue = Box::new(move |mut builder| {
            let now = own.truth.get();
            (builder.not_before, builder.not_after) = (time(now.plus(-300)), time(now.plus(own.lifetime.get())));
            builder
        });
        let own = shared.clone();
        mock.bend = Some(Box::new(move |answer| {
            answer.header.message_time = Some(own.truth.get().plus(own.clock_off.get()));
        }));
        let mut troubles = Vec::new();
        let mut at = start.plus(dice.below(60 * DAY));
        while at < start.plus(years * 365 * DAY) {
            let kind = dice.one_of(&TroubleKind::ALL);
            let lasts = match kind {
                TroubleKind::IssuesShort => DAY / 12,
                TroubleKind::NewIssuer | TroubleKind::NewSigner => DAY,
                TroubleKind::LetsWait | TroubleKind::NeverApproves => dice.one_of(&[5 * DAY, 40 * DAY]),
                TroubleKind::NewRoot => 200 * DAY,
                _ => dice.one_of(&[DAY / 2, 5 * DAY, 40 * DAY, 100 * DAY]),
            };
            let end = at.plus(lasts);
            troubles.push(Trouble { kind, begin: at, end });
            at = end.plus(dice.one_of(&[0, 3 * DAY, 60 * DAY, 200 * DAY]));
        }
        let mut ca = Ca {
            mock,
            shared,
            lifetime,
            troubles,
            next: 0,
            met: Vec::new(),
            dice,
            new_root: None,
            well_since: start,
            request_times: Vec::new(),
        };
        ca.new_issuer(date(2059, 1, 1));
        ca.new_signer();
        ca
    }

    fn new_issuer(&mut self, end: Time) {
        let begin = self.shared.truth.get().plus(-DAY);
        self.mock.issuing = Builder::ca("Issuing CA").valid(begin, end).signed_by(&self.mock.root);
    }

    fn new_signer(&mut self) {
        let begin = self.shared.truth.get().plus(-DAY);
        let signer = Builder::leaf("CMP server").valid(begin, date(2059, 1, 1));
        let signer = signer.key_usage(&[KeyUsage::DigitalSignature]).purposes(&[oid::KP_CMC_RA]);
        self.mock.signer = signer.signed_by(&self.mock.issuing);
    }

    /// The trouble at this moment.
    pub fn trouble(&self) -> Option<Trouble> {
        let now = self.shared.truth.get();
        self.troubles[..self.next].last().copied().filter(|trouble| now < trouble.end)
    }

    pub fn is_well(&self) -> bool {
        self.trouble().is_none_or(|trouble| trouble.kind.is_well())
    }

    /// The world has moved on to this moment. `knows_root`: the device has the new root.
    pub fn reach(&mut self, now: Time, knows_root: bool) {
        let was = self.trouble();
        self.shared.truth.set(now);
        while let Some(next) = self.troubles.get(self.next).copied().filter(|next| next.begin <= now) {
            self.next += 1;
            self.met.push(next.kind);
            self.begin(next);
        }
        if let Some(was) = was.filter(|was| !was.kind.is_well() && was.end <= now) {
            self.well_since = self.well_since.max(was.end);
        }
        let trouble = self.trouble();
        if trouble.is_none() {
            self.recover();
        }
        if let Some(trouble) = trouble.filter(|trouble| !trouble.kind.is_well()) {
            self.well_since = trouble.end;
        }
        self.change_roots(now, knows_root);
    }

    fn recover(&mut self) {
        self.mock.status = PkiStatusInfo::new(PkiStatus::Accepted);
        (self.mock.waits, self.mock.check_after) = (0, 30);
        self.shared.clock_off.set(0);
        self.shared.lifetime.set(self.lifetime);
    }

    fn begin(&mut self, trouble: Trouble) {
        use TroubleKind as T;
        self.recover();
        let rejected =
            |bit: u32| PkiStatusInfo { fail_info: Some(1 << bit), ..PkiStatusInfo::new(PkiStatus::Rejection) };
        match trouble.kind {
            T::Refuses => self.mock.status = rejected(2),
            T::SaysRevoked => self.mock.status = rejected(10),
            T::Unavailable => self.mock.status = rejected(24),
            T::LetsWait => {
                self.mock.waits = u32::try_from(1 + self.dice.below(4)).unwrap();
                self.mock.check_after = self.dice.one_of(&[1, 60, 3600, DAY, 3 * DAY]);
            }
            T::NeverApproves => {
                self.mock.waits = u32::MAX;
                // Polls of months say no more than those of days.
                let is_short = trouble.end.since(trouble.begin) <= 5 * DAY;
                self.mock.check_after = self.dice.one_of(if is_short { &[1, 3600, DAY] } else { &[3600, DAY] });
            }
            T::IssuesShort => self.shared.lifetime.set(self.dice.one_of(&[5, 60, 600])),
            T::ClockWrong => {
                self.shared.clock_off.set(self.dice.one_of(&[-30 * DAY, 400 * DAY, 5 * 365 * DAY, -5 * 365 * DAY]));
            }
            T::NewIssuer => self.new_issuer(date(2059, 1, 1)),
            T::IssuerEnds => {
                let end = trouble.begin.plus(self.lifetime.min(200 * DAY));
                self.new_issuer(end);
                self.new_signer_of_root();
            }
            T::NewSigner => self.new_signer(),
            T::NewRoot => self.offer_root(),
            T::Dead | T::Busy | T::Garbage | T::LosesAnswers => {}
        }
        if matches!(trouble.kind, T::NewIssuer) {
            self.new_signer();
        }
    }

    /// Its signer outlives the issuing CA.
    fn new_signer_of_root(&mut self) {
        let begin = self.shared.truth.get().plus(-DAY);
        let signer = Builder::leaf("CMP server").valid(begin, date(2059, 1, 1));
        let signer = signer.key_usage(&[KeyUsage::DigitalSignature]).purposes(&[oid::KP_CMC_RA]);
        self.mock.signer = signer.signed_by(&self.mock.root);
    }

    /// The successor can be asked for.
    fn offer_root(&mut self) {
        if self.new_root.is_some() {
            return;
        }
        let (begin, end) = (self.shared.truth.get().plus(-DAY), date(2090, 1, 1));
        let new = Builder::ca("Operator root").valid(begin, end).self_signed();
        let link = Builder::ca("Operator root").key(&new.key).valid(begin, date(2060, 1, 1)).signed_by(&self.mock.root);
        let value = sequence(&[new.certificate.as_der(), &element(0xa0, &[link.certificate.as_der()])]);
        self.mock.info = plain_info();
        self.mock.info.push(InfoTypeAndValue { info_type: oid::IT_ROOT_CA_KEY_UPDATE, value });
        self.new_root = Some((new, None));
    }

    pub fn offered_root(&self) -> Option<&Party> {
        self.new_root.as_ref().map(|(root, _)| root)
    }

    /// Once the device knows it, and some time later, it is the one that counts; the old one ends.
    fn change_roots(&mut self, now: Time, knows_root: bool) {
        let is_time = match &mut self.new_root {
            Some((_, since @ None)) if knows_root => {
                *since = Some(now.plus(60 * DAY));
                false
            }
            Some((_, Some(since))) => *since <= now,
            _ => false,
        };
        if let Some((root, _)) = self.new_root.take_if(|_| is_time) {
            self.mock.root = root;
            self.mock.info = plain_info();
        }
        // An issuing CA that nears its end has a successor.
        if is_time || self.mock.issuing.certificate.not_after() < now.plus(20 * DAY) {
            self.new_issuer(date(2059, 1, 1));
            self.new_signer();
        }
    }
}

/// The way to the CA.
impl Exchange for Ca {
    fn exchange(&mut self, request: &[u8], _limits: &ExchangeLimits) -> Result<Reply, TransportError> {
        let now = self.shared.truth.get();
        self.request_times.push(now);
        let trouble = self.trouble().map(|trouble| trouble.kind);
        match trouble {
            Some(TroubleKind::Dead) => {
                return Err(TransportError::new(Kind::Connect, Phase::Connect, "the line is dead"));
            }
            Some(TroubleKind::Busy) => {
                let mut error = TransportError::new(Kind::Busy, Phase::Await, "503");
                error.retry_after_seconds = Some(u32::try_from(self.dice.one_of(&[0, 5, 600, 30 * DAY])).unwrap());
                return Err(error);
            }
            Some(TroubleKind::Garbage) => return Ok(Reply::from_body(b"<html>please wait</html>".to_vec())),
            _ => {}
        }
        let answer = self.mock.answer(request);
        self.mock.received.clear();
        if trouble == Some(TroubleKind::LosesAnswers) && self.dice.below(2) == 0 {
            return Err(TransportError::new(Kind::Timeout, Phase::Await, "the answer is lost"));
        }
        Ok(Reply::from_body(answer))
    }
}
