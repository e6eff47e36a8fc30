//! Whether a peer is to be believed, by the settings under `peers`.

use super::reading::of;
use super::settings::StatusCheck;
use super::{Device, read_certificates, wrong};
use crate::client::certificates::ReadAs;
use crate::client::certificates::sent_certificates;
use crate::client::peer_certificates::end_entity_of;
use crate::client::subject::purpose_oid;
use crate::crypto::default_provider;
use crate::error::Error;
use crate::store::AnchorSet;
use crate::time::Time;
use crate::validation::{
    Checks, NameCheck, PeerKey, PeerName, PeerRequest, Purpose, Report, StatusSources, TrustAnchors,
};

/// A name that a peer must carry: `dns:HOST`, `ip:ADDRESS`, `email:MAILBOX` or `uri:URI`. One that nobody can have says nothing of the
/// peer: [`Code::InvalidArgument`](crate::codes::Code::InvalidArgument).
pub fn peer_name(text: &str) -> Result<PeerName, Error> {
    let shown = text.escape_debug();
    let other = || wrong(format!("{shown}: dns:HOST, ip:ADDRESS, email:MAILBOX or uri:URI is expected, or any"));
    let name = match text.split_once(':').ok_or_else(other)? {
        ("dns", host) => PeerName::Dns(host.to_owned()),
        ("ip", address) => PeerName::Ip(address.parse().map_err(|_| other())?),
        ("email", mailbox) => PeerName::Email(mailbox.to_owned()),
        ("uri", uri) => PeerName::Uri(uri.to_owned()),
        _ => return Err(other()),
    };
    match name.may_be_asked_for() {
        Ok(()) => Ok(name),
        Err(why) => Err(wrong(format!("{shown}: {why}")).with_source(why)),
    }
}

impl Device {
    /// Roots of peers: `peers.trust`, or the set in device memory.
    pub fn peer_anchors(&self) -> Result<TrustAnchors, Error> {
        let mut anchors = TrustAnchors::new();
        for certificate in read_certificates(&self.settings.peers.trust, ReadAs::Anchors, &mut |_| ())? {
            anchors.add(certificate);
        }
        if self.settings.peers.trust.is_empty() {
            for certificate in self.store.anchors(AnchorSet::Peer)? {
                anchors.add(certificate);
            }
        }
        match anchors.is_empty() {
            true => Err(wrong("nobody is trusted: peers.trust, or devid anchors add peers FILE")),
            false => Ok(anchors),
        }
    }

    /// Validates what a peer sent: its certificate and others, PEM or DER. `name`: see [`peer_name`]; `any` if the caller knows
    /// otherwise who it is. The peer's key is there exactly when the report is positive.
    pub fn check(&self, sent: &[u8], name: &str, now: Time) -> Result<(Report, Option<PeerKey>), Error> {
        // The first is the one whose key the peer has proved to hold.
        let certificates = sent_certificates(sent)?;
        let (certificate, pool) = end_entity_of(&certificates)?;
        let peers = &self.settings.peers;
        let mut checks = Checks::at(now);
        checks.allow_weak = peers.allow_weak;
        checks.presented = certificates.first().cloned();
        checks.revocation = peers.status.unwrap_or(StatusCheck::Soft).policy();
        if let Some(skew) = self.settings.ca.clock_skew {
            of("ca.clock-skew", checks.set_clock_skew(skew.seconds()))?;
        }
        let request = PeerRequest {
            anchors: &self.peer_anchors()?,
            certificate: &certificate,
            pool: &pool,
            status: &StatusSources::none(),
            checks,
            purpose: match peers.purpose.as_deref() {
                None | Some("any") => Purpose::Any,
                Some(purpose) => Purpose::For(vec![purpose_oid(purpose)?]),
            },
            names: match name {
                "any" => NameCheck::NotChecked,
                name => NameCheck::All(vec![peer_name(name)?]),
            },
            use_until: None,
        };
        self.open_peer(request)
    }

    #[cfg(feature = "http")]
    fn open_peer(&self, request: PeerRequest<'_>) -> Result<(Report, Option<PeerKey>), Error> {
        use crate::client::status::{StatusFetcher, StatusOptions, built_in};
        if !self.settings.peers.fetch {
            return self.open_peer_offline(request);
        }
        let options = StatusOptions { directory: self.settings.peers.directory.clone(), ..StatusOptions::default() };
        let mut fetch = built_in(&options)?;
        let mut fetcher = StatusFetcher::with_store(default_provider(), options, self.store.clone());
        fetcher.open_peer(request, &mut fetch).map(|(answer, key)| (answer.report, key))
    }

    #[cfg(not(feature = "http"))]
    fn open_peer(&self, request: PeerRequest<'_>) -> Result<(Report, Option<PeerKey>), Error> {
        self.open_peer_offline(request)
    }

    /// With the status data that device memory holds.
    fn open_peer_offline(&self, request: PeerRequest<'_>) -> Result<(Report, Option<PeerKey>), Error> {
        use crate::client::status::StatusMemory;
        let memory = std::sync::Arc::new(StatusMemory::new(default_provider(), Some(self.store.clone())));
        memory.open_peer(&default_provider(), request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::Code;

    #[test]
    fn a_name_that_nobody_can_have_is_a_mistake_of_who_asks() {
        for good in ["dns:a.example", "ip:::1", "ip:192.0.2.1", "email:a@b.example", "uri:https://a.example/x"] {
            assert!(peer_name(good).is_ok(), "{good}");
        }
        for wrong in
            ["dns:*", "dns:", "dns:*.a.example", "dns:192.0.2.1", "dns:a b", "ip:x", "email:x", "uri:", "host", ""]
        {
            assert_eq!(peer_name(wrong).unwrap_err().code(), Code::InvalidArgument, "{wrong}");
        }
    }
}
