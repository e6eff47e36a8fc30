//! What is judged on a path: pair by pair as it grows, and as a whole.

use alloc::borrow::Cow;

use super::{Next, Node, Search};
use crate::asn1::name::display;
use crate::asn1::x509::Certificate;
use crate::codes::Code;
use crate::crypto::{KeyIdentity, dsa};
use crate::error::Rule;
use crate::prelude::*;
use crate::validation::certificate::{Objection, against_end_entity, against_issuer, against_signature, objection};
use crate::validation::constraints::{ConstrainedNames, Constraints, Violation};
use crate::validation::facts::Facts;
use crate::validation::names;
use crate::validation::policy::{self, PathCertificate};
use crate::validation::profile::Role;
use crate::validation::report::ValidPath;
use crate::validation::rules::FORM;

const PRESENTED: Rule = Rule::new(
    "RFC 5280 section 6.1 (V17)",
    "the certificate that is judged, or a CA above it, first among those that were sent",
);
/// RFC 5280 section 6.1.4 (l), (m).
const LENGTH: Rule =
    Rule::new("RFC 5280 section 6.1.4 (V1)", "no more CA certificates than pathLenConstraint and the caller allow");
/// RFC 5280 section 6.1.3 (b), (c).
const NAME_SPACE: Rule = Rule::new("RFC 5280 section 4.2.1.10 (V1)", "names within the constraints of all CAs above");

impl<'a> Search<'a> {
    /// Whoever proved to hold the key of one certificate must not be taken for the holder of another: what the transport
    /// presented first is the certificate that was asked about, or a CA above it.
    pub(super) fn against_presented(&self, path: &ValidPath) -> Option<Objection> {
        let presented = self.checks.presented.as_ref()?;
        let same = |c: &Certificate| {
            c == presented
                || (KeyIdentity::of(c) == KeyIdentity::of(presented)
                    && names::same_name(c.subject(), presented.subject()))
        };
        if path.leaf() == presented || path.chain()[1..].iter().any(same) {
            return None;
        }
        let text = format!(
            "the first certificate that was sent, of {}, is neither the one that is judged nor a CA above it",
            display(presented.subject())
        );
        objection(PRESENTED, Code::NoPath, text)
    }

    /// What speaks against the certificate that was asked about, whatever the path.
    pub(super) fn against_leaf(&mut self) -> Option<Objection> {
        let leaf = &self.nodes[0];
        let facts = match leaf.facts() {
            Ok(facts) => facts,
            Err(error) => return objection(FORM, Code::Malformed, error.to_string()),
        };
        against_end_entity(leaf.certificate, facts, self.checks)
    }

    /// What speaks against a certificate as an issuer, whatever the path; found once.
    pub(super) fn against_issuer(&self, index: usize) -> Option<&Objection> {
        let node = &self.nodes[index];
        node.against
            .get_or_init(|| {
                let facts = match node.facts() {
                    Ok(facts) => facts,
                    Err(error) => return objection(FORM, Code::Malformed, error.to_string()),
                };
                let role = if self.is_anchor(index) { Role::Anchor } else { Role::Intermediate };
                against_issuer(node.certificate, facts, self.checks, role)
            })
            .as_ref()
    }

    /// RFC 5280 section 6.1.4 (l), (m), and the caller's own limit. `path` leads up to the candidate.
    pub(super) fn against_length(&self, path: &[usize], candidate: usize) -> Option<Objection> {
        let path_len = self.nodes[candidate].facts().ok().and_then(|f| f.basic_constraints?.path_len);
        if path_len.is_none() && self.checks.max_intermediates.is_none() {
            return None;
        }
        let below = path[1..].iter().filter(|i| !self.is_self_issued(**i)).count();
        if let Some(limit) = path_len {
            if below > limit as usize {
                let text = format!("at most {limit} CA certificates may follow, {below} do (pathLenConstraint)");
                return objection(LENGTH, Code::PathLength, text);
            }
        }
        match self.checks.max_intermediates {
            Some(limit)
                if below + usize::from(!self.is_anchor(candidate) && !self.is_self_issued(candidate)) > limit =>
            {
                objection(
                    LENGTH,
                    Code::PathLength,
                    format!("more than the {limit} CA certificates that the caller allows"),
                )
            }
            _ => None,
        }
    }

    fn is_self_issued(&self, node: usize) -> bool {
        let Node { certificate, is_self_issued, .. } = &self.nodes[node];
        *is_self_issued.get_or_init(|| names::same_name(certificate.issuer(), certificate.subject()))
    }

    /// Takes what the policies of a path cost out of the budget of names: identifiers are compared like names.
    pub(super) fn spend_policies(&mut self, path: &[usize]) -> bool {
        let len = |der: Option<&[u8]>| der.map_or(0, <[u8]>::len);
        let cost: usize = path
            .iter()
            .filter_map(|i| self.nodes[*i].facts().ok())
            .map(|facts| len(facts.certificate_policies) + len(facts.policy_mappings))
            .sum();
        self.spend_names(cost / 16)
    }

    /// RFC 5280 section 6.1.3 (b), (c): the constraints of each issuer on the names of all certificates below it.
    pub(super) fn check_constraints(&mut self, path: &[usize]) -> Option<Next> {
        let facts = |search: &Self, k: usize| search.nodes[path[k]].facts().ok().cloned();
        let mut below: Vec<Option<ConstrainedNames<'a>>> = Vec::new();
        for k in 1..path.len() {
            let Some(der) = facts(self, k)?.name_constraints else { continue };
            if !self.spend_names(der.len() / 16) {
                return Some(Next::Stop);
            }
            let constraints = match Constraints::parse(der, self.checks.allow_dotted_dns_constraints) {
                Ok(constraints) => constraints,
                Err(error) => return Some(self.fail(k, path[k], FORM, Code::Malformed, error.to_string())),
            };
            for j in 0..k {
                // Self-issued certificates are exempt unless they are the last (RFC 5280 section 6.1.3 (b)).
                if j > 0 && self.is_self_issued(path[j]) {
                    continue;
                }
                if below.len() <= j {
                    below.resize_with(j + 1, || None);
                }
                if below[j].is_none() {
                    let subject = self.nodes[path[j]].certificate.subject();
                    let alternative = facts(self, j)?.subject_alt_name.map_or(0, <[u8]>::len);
                    if !self.spend_names((subject.len() + alternative) / 16) {
                        return Some(Next::Stop);
                    }
                    match ConstrainedNames::read(subject, facts(self, j)?.subject_alt_name) {
                        Ok(names) => below[j] = Some(names),
                        Err(error) => return Some(self.fail(j, path[j], FORM, Code::Malformed, error.to_string())),
                    }
                }
                let names = below[j].as_ref()?;
                match constraints.check(names, &mut self.names_left) {
                    Ok(()) => {}
                    Err(Violation::Budget) => {
                        self.exhausted = Some("name comparisons");
                        return Some(Next::Stop);
                    }
                    Err(Violation::Malformed(e)) => {
                        return Some(self.fail(j, path[j], FORM, Code::Malformed, e.to_string()));
                    }
                    Err(Violation::Outside(text)) => {
                        return Some(self.fail(j, path[j], NAME_SPACE, Code::NameConstraints, text));
                    }
                }
            }
        }
        None
    }

    pub(super) fn check_policies(&self, path: &[usize]) -> Result<policy::ValidPolicies, (usize, Objection)> {
        let anchor = path.len() - 1;
        let none = Facts::default();
        let facts = |k: usize| self.nodes[path[k]].facts().unwrap_or(&none);
        if (0..=anchor).all(|k| facts(k).says_nothing_of_policies()) && !self.checks.policy.require_explicit {
            return Ok(Some(Vec::new()));
        }
        let certificates: Vec<PathCertificate<'_>> = (0..anchor)
            .rev()
            .map(|k| PathCertificate { facts: facts(k), is_self_issued: self.is_self_issued(path[k]), index: k })
            .collect();
        policy::process(&certificates, facts(anchor), &self.checks.policy)
    }

    /// What is known of the signature on a certificate by the key of an issuer.
    pub(super) fn edge(&self, certificate: usize, issuer: usize) -> Option<&Option<Objection>> {
        if self.edges.is_empty() {
            return None;
        }
        let key = self.key_of(issuer);
        self.edges.iter().find(|(c, k, _)| (*c, *k) == (certificate, key)).map(|(_, _, wrong)| wrong)
    }

    /// The first node with the same bytes of the key: certificates of one CA share the signatures that were checked with it. Not
    /// by the key's identity: what it is labelled with decides which signatures it verifies.
    fn key_of(&self, node: usize) -> usize {
        let Node { certificate, same_key, .. } = &self.nodes[node];
        *same_key.get_or_init(|| {
            let spki = certificate.spki();
            self.nodes.iter().position(|n| n.certificate.spki() == spki).unwrap_or(node)
        })
    }

    /// Checks the signature on one certificate of the path, once; `None` if the budget does not allow it.
    pub(super) fn check_signature(&mut self, path: &[usize], k: usize) -> Option<Option<Objection>> {
        let (certificate, issuer) = (path[k], path[k + 1]);
        if let Some(known) = self.edge(certificate, issuer) {
            return Some(known.clone());
        }
        let signed = self.nodes[certificate].certificate;
        let cost = if dsa::digest_of(signed.signature_algorithm()).is_some() { DSA_COST } else { 1 };
        let Some(left) = self.signatures_left.checked_sub(cost) else {
            self.exhausted = Some("signatures");
            return None;
        };
        self.signatures_left = left;
        let mut keys = path[k + 1..].iter().map(|node| self.nodes[*node].certificate.spki());
        let signer = dsa::working_key(keys.next()?, keys);
        let wrong = against_signature(self.provider, signed, &signer, self.checks.allow_weak);
        // With inherited parameters the outcome belongs to this path alone.
        if matches!(signer, Cow::Borrowed(_)) {
            self.edges.push((certificate, self.key_of(issuer), wrong.clone()));
        }
        Some(wrong)
    }
}

/// What a DSA signature counts, in signatures of other kinds.
const DSA_COST: u32 = 10;
