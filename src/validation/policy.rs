//! Certificate policies by the directed graph of RFC 9618: linear in what the certificates hold, where the tree of RFC
//! 5280 section 6.1.2 (a) grows exponentially.

use ::der::Tag;

use super::certificate::Objection;
use super::checks::PolicyInputs;
use super::facts::Facts;
use super::rules::FORM;
use crate::asn1::Asn1Error;
use crate::asn1::der::Cursor;
use crate::asn1::oid::{self, Oid};
use crate::asn1::x509::read_oid_content;
use crate::codes::Code;
use crate::error::Rule;
use crate::prelude::*;

/// What policy processing needs of each certificate, the one below the anchor first.
pub(super) struct PathCertificate<'a> {
    pub facts: &'a Facts<'a>,
    pub is_self_issued: bool,
    /// Index in the chain, 0 is the end entity.
    pub index: usize,
}

/// RFC 5280 section 6.1.3 (f), 6.1.5 (g).
const EXPLICIT: Rule = Rule::new(
    "RFC 9618 section 5.6 (V2)",
    "a path that is valid for a policy that is asked for, where one is required",
);
/// RFC 5280 section 6.1.4 (a).
const MAPPED: Rule = Rule::new("RFC 5280 section 6.1.4 (V2)", "policyMappings without anyPolicy");

/// Why the policies refuse the path: at which certificate of it, and what speaks against that.
type Refusal = (usize, Objection);

/// The policies the path is valid for: `None` means any.
pub(super) type ValidPolicies = Option<Vec<Oid>>;

/// A policy: the content of its identifier, whose numbers may be of any size.
type Policy<'a> = &'a [u8];

const ANY_POLICY: Policy<'static> = oid::ANY_POLICY.as_bytes();

/// RFC 5280 sections 6.1.2 to 6.1.5 as far as they concern policies, with the graph of RFC 9618 section 5. `anchor` are
/// the anchor's own extensions, which are inputs (RFC 5937 section 3.2).
pub(super) fn process<'a>(
    path: &[PathCertificate<'a>],
    anchor: &'a Facts<'a>,
    inputs: &'a PolicyInputs,
) -> Result<ValidPolicies, Refusal> {
    let initial = InitialState::new(anchor, inputs, path.len())?;
    // Without a demand for an explicit policy no outcome can refuse the path. The extensions must be well-formed still.
    let explicit_can_matter = initial.explicit_policy <= path.len()
        || path.iter().any(|c| c.facts.policy_constraints.is_some_and(|p| p.require_explicit.is_some()));
    if !explicit_can_matter && path.iter().all(|c| c.facts.certificate_policies.is_none()) {
        for certificate in path {
            read_mappings(certificate)?;
        }
        return Ok(Some(Vec::new()));
    }
    Processing { state: initial, levels: Vec::with_capacity(path.len()) }.run(path)
}

/// Most policies or mappings read from one certificate. Real ones have fewer than ten; US federal bridges about forty.
const MAX_POLICIES: usize = 512;

struct InitialState<'a> {
    initial_set: Option<Vec<Policy<'a>>>,
    explicit_policy: usize,
    policy_mapping: usize,
    inhibit_any: usize,
}

impl<'a> InitialState<'a> {
    fn new(anchor: &'a Facts<'a>, inputs: &'a PolicyInputs, length: usize) -> Result<Self, Refusal> {
        let start = |inhibited: bool| if inhibited { 0 } else { length + 1 };
        let mut state = InitialState {
            initial_set: None,
            explicit_policy: start(inputs.require_explicit),
            policy_mapping: start(inputs.inhibit_mapping),
            inhibit_any: start(inputs.inhibit_any),
        };
        if !inputs.initial_set.is_empty() && !inputs.initial_set.contains(&oid::ANY_POLICY) {
            let mut set: Vec<Policy<'a>> = inputs.initial_set.iter().map(Oid::as_bytes).collect();
            crate::order::sort(&mut set);
            state.initial_set = Some(set);
        }
        if let Some(constraints) = anchor.policy_constraints {
            state.constrain(constraints.require_explicit, constraints.inhibit_mapping);
        }
        if let Some(skip) = anchor.inhibit_any_policy {
            state.inhibit_any = state.inhibit_any.min(skip as usize);
        }
        if let Some(der) = anchor.certificate_policies {
            let policies = read_policies(der).map_err(|e| malformed(length, &e))?;
            if !policies.contains(&ANY_POLICY) {
                state.initial_set = Some(match state.initial_set.take() {
                    Some(set) => set.into_iter().filter(|p| policies.binary_search(p).is_ok()).collect(),
                    None => policies,
                });
            }
        }
        Ok(state)
    }

    fn constrain(&mut self, require_explicit: Option<u32>, inhibit_mapping: Option<u32>) {
        if let Some(skip) = require_explicit {
            self.explicit_policy = self.explicit_policy.min(skip as usize);
        }
        if let Some(skip) = inhibit_mapping {
            self.policy_mapping = self.policy_mapping.min(skip as usize);
        }
    }
}

/// The nodes of the graph at one depth, sorted by policy.
#[derive(Default)]
struct Level<'a> {
    nodes: Vec<Node<'a>>,
    /// Whether the level holds the node of anyPolicy.
    has_any: bool,
}

struct Node<'a> {
    policy: Policy<'a>,
    /// Policies of the parents in the level above; empty: the parent is anyPolicy's node.
    parents: Vec<Policy<'a>>,
    reachable: bool,
}

impl Level<'_> {
    fn is_empty(&self) -> bool {
        self.nodes.is_empty() && !self.has_any
    }

    fn find(&self, policy: &Policy<'_>) -> Option<usize> {
        self.nodes.binary_search_by(|n| n.policy.cmp(policy)).ok()
    }
}

struct Processing<'a> {
    state: InitialState<'a>,
    levels: Vec<Level<'a>>,
}

impl<'a> Processing<'a> {
    fn run(mut self, path: &[PathCertificate<'a>]) -> Result<ValidPolicies, Refusal> {
        let mut level = Level { nodes: Vec::new(), has_any: true };
        for (i, certificate) in path.iter().enumerate() {
            let is_last = i + 1 == path.len();
            // RFC 5280 section 6.1.3 (d)(2): anyPolicy counts while not inhibited, and in self-issued CA certificates.
            let any_allowed = self.state.inhibit_any > 0 || (!is_last && certificate.is_self_issued);
            keep_certificate_policies(certificate, &mut level, any_allowed)?;
            // RFC 5280 section 6.1.3 (f).
            if self.state.explicit_policy == 0 && level.is_empty() {
                return Err(self.refuse(certificate.index));
            }
            if is_last {
                self.levels.push(level);
                break;
            }
            let next = map_policies(certificate, &mut level, self.state.policy_mapping > 0)?;
            self.levels.push(level);
            level = next;
            self.prepare_for_next(certificate);
        }
        self.wrap_up(path.last())
    }

    /// RFC 5280 section 6.1.4 (h), (i), (j).
    fn prepare_for_next(&mut self, certificate: &PathCertificate<'_>) {
        if !certificate.is_self_issued {
            self.state.explicit_policy = self.state.explicit_policy.saturating_sub(1);
            self.state.policy_mapping = self.state.policy_mapping.saturating_sub(1);
            self.state.inhibit_any = self.state.inhibit_any.saturating_sub(1);
        }
        if let Some(constraints) = certificate.facts.policy_constraints {
            self.state.constrain(constraints.require_explicit, constraints.inhibit_mapping);
        }
        if let Some(skip) = certificate.facts.inhibit_any_policy {
            self.state.inhibit_any = self.state.inhibit_any.min(skip as usize);
        }
    }

    /// RFC 5280 section 6.1.5 (a), (b), (g) with RFC 9618 section 5.6.
    fn wrap_up(mut self, last: Option<&PathCertificate<'_>>) -> Result<ValidPolicies, Refusal> {
        let mut explicit_policy = self.state.explicit_policy.saturating_sub(1);
        if last.and_then(|c| c.facts.policy_constraints).is_some_and(|p| p.require_explicit == Some(0)) {
            explicit_policy = 0;
        }
        let valid = self.user_constrained_policies();
        if explicit_policy == 0 && valid.as_ref().is_some_and(Vec::is_empty) {
            return Err(self.refuse(0));
        }
        Ok(valid)
    }

    /// Walks from the last level up to the nodes whose parent is anyPolicy: those are in terms of the anchor's domain.
    fn user_constrained_policies(&mut self) -> ValidPolicies {
        let Some(last) = self.levels.last_mut() else { return owned(self.state.initial_set.as_deref()) };
        if last.has_any {
            // anyPolicy at the end of the path: every policy asked for is valid.
            return owned(self.state.initial_set.as_deref());
        }
        last.nodes.iter_mut().for_each(|n| n.reachable = true);
        let mut valid = Vec::new();
        for i in (0..self.levels.len()).rev() {
            let (above, below) = self.levels.split_at_mut(i);
            for node in below[0].nodes.iter().filter(|n| n.reachable) {
                if node.parents.is_empty() {
                    let wanted = self.state.initial_set.as_ref().is_none_or(|s| s.binary_search(&node.policy).is_ok());
                    if wanted {
                        valid.push(node.policy);
                    }
                } else if let Some(level) = above.last_mut() {
                    for parent in &node.parents {
                        if let Some(found) = level.find(parent) {
                            level.nodes[found].reachable = true;
                        }
                    }
                }
            }
        }
        crate::order::sort(&mut valid);
        valid.dedup();
        owned(Some(&valid))
    }

    fn refuse(&self, index: usize) -> Refusal {
        let text = "an explicit certificate policy is required and the path is valid for none that is acceptable";
        (index, Objection { rule: Some(EXPLICIT), code: Code::Policy, text: text.to_owned() })
    }
}

fn owned(policies: Option<&[Policy<'_>]>) -> ValidPolicies {
    policies.map(|policies| policies.iter().filter_map(|policy| Oid::from_bytes(policy).ok()).collect())
}

/// RFC 5280 section 6.1.3 (d) and (e) on the level that the mappings of the certificate above made.
fn keep_certificate_policies<'a>(
    certificate: &PathCertificate<'a>,
    level: &mut Level<'a>,
    any_allowed: bool,
) -> Result<(), Refusal> {
    let Some(der) = certificate.facts.certificate_policies else {
        *level = Level::default();
        return Ok(());
    };
    let policies = read_policies(der).map_err(|e| malformed(certificate.index, &e))?;
    let keeps_all = any_allowed && policies.binary_search(&ANY_POLICY).is_ok();
    let had_any = level.has_any;
    if !keeps_all {
        level.nodes.retain(|n| policies.binary_search(&n.policy).is_ok());
        level.has_any = false;
    }
    if had_any {
        let new: Vec<Node<'a>> = policies
            .iter()
            .filter(|p| **p != ANY_POLICY && level.find(p).is_none())
            .map(|p| Node { policy: p, parents: Vec::new(), reachable: false })
            .collect();
        level.nodes.extend(new);
        crate::order::sort_by_key(&mut level.nodes, |n| n.policy);
    }
    Ok(())
}

/// RFC 5280 section 6.1.4 (a) and (b): what the next level expects, given this one.
fn map_policies<'a>(
    certificate: &PathCertificate<'a>,
    level: &mut Level<'a>,
    allowed: bool,
) -> Result<Level<'a>, Refusal> {
    let mut mappings = read_mappings(certificate)?;
    let mut mapped: Vec<Policy<'a>> = mappings.iter().map(|(issuer, _)| *issuer).collect();
    mapped.dedup();
    if allowed {
        if level.has_any {
            // (b)(1): a mapped policy that only anyPolicy covers gets a node of its own.
            let new: Vec<Node<'a>> = mapped
                .iter()
                .filter(|p| level.find(p).is_none())
                .map(|p| Node { policy: p, parents: Vec::new(), reachable: false })
                .collect();
            level.nodes.extend(new);
            crate::order::sort_by_key(&mut level.nodes, |n| n.policy);
        }
    } else {
        // (b)(2): a mapped policy ends here.
        level.nodes.retain(|n| mapped.binary_search(&n.policy).is_err());
        mappings.clear();
    }
    // Policies that are not mapped are expected as they are.
    for node in level.nodes.iter().filter(|n| mapped.binary_search(&n.policy).is_err()) {
        mappings.push((node.policy, node.policy));
    }
    crate::order::sort_by_key(&mut mappings, |(issuer, subject)| (*subject, *issuer));
    let mut next = Level { nodes: Vec::new(), has_any: level.has_any };
    for (issuer, subject) in mappings {
        if level.find(&issuer).is_none() {
            continue;
        }
        match next.nodes.last_mut() {
            Some(node) if node.policy == subject => node.parents.push(issuer),
            _ => next.nodes.push(Node { policy: subject, parents: vec![issuer], reachable: false }),
        }
    }
    Ok(next)
}

/// The policies of certificatePolicies, sorted. Qualifiers are for people and are not looked into.
fn read_policies(der: &[u8]) -> Result<Vec<Policy<'_>>, Asn1Error> {
    const WHAT: &str = "CertificatePolicies";
    let mut cursor = Cursor::sequence(der, WHAT)?;
    let mut policies = Vec::new();
    while !cursor.is_empty() {
        let mut fields = Cursor::new(cursor.expect(Tag::Sequence, "a PolicyInformation")?.value, WHAT)?;
        policies.push(read_oid_content(&mut fields)?);
        fields.optional(Tag::Sequence)?;
        fields.finish()?;
        if policies.len() > MAX_POLICIES {
            return Err(Asn1Error::too_large(WHAT, "count", MAX_POLICIES, policies.len()));
        }
    }
    if policies.is_empty() {
        return Err(Asn1Error::invalid(WHAT, "an empty list"));
    }
    crate::order::sort(&mut policies);
    if policies.windows(2).any(|pair| pair[0] == pair[1]) {
        // RFC 5280 section 4.2.1.4: MUST NOT appear more than once.
        return Err(Asn1Error::invalid(WHAT, "the same policy twice"));
    }
    Ok(policies)
}

/// The pairs (issuerDomainPolicy, subjectDomainPolicy) of policyMappings, sorted.
fn read_mappings<'a>(certificate: &PathCertificate<'a>) -> Result<Vec<(Policy<'a>, Policy<'a>)>, Refusal> {
    const WHAT: &str = "PolicyMappings";
    let Some(der) = certificate.facts.policy_mappings else { return Ok(Vec::new()) };
    let read = || -> Result<Vec<(Policy<'a>, Policy<'a>)>, Asn1Error> {
        let mut cursor = Cursor::sequence(der, WHAT)?;
        let mut mappings = Vec::new();
        while !cursor.is_empty() {
            let mut fields = Cursor::new(cursor.expect(Tag::Sequence, "a mapping")?.value, WHAT)?;
            mappings.push((read_oid_content(&mut fields)?, read_oid_content(&mut fields)?));
            fields.finish()?;
            if mappings.len() > MAX_POLICIES {
                return Err(Asn1Error::too_large(WHAT, "count", MAX_POLICIES, mappings.len()));
            }
        }
        if mappings.is_empty() {
            return Err(Asn1Error::invalid(WHAT, "an empty list"));
        }
        crate::order::sort(&mut mappings);
        mappings.dedup();
        Ok(mappings)
    };
    let mappings = read().map_err(|e| malformed(certificate.index, &e))?;
    if mappings.iter().any(|(a, b)| *a == ANY_POLICY || *b == ANY_POLICY) {
        let text = "policyMappings maps from or to anyPolicy".to_owned();
        return Err((certificate.index, Objection { rule: Some(MAPPED), code: Code::Policy, text }));
    }
    Ok(mappings)
}

fn malformed(index: usize, error: &Asn1Error) -> Refusal {
    let (rule, code) = match error.problem {
        crate::asn1::Problem::TooLarge { .. } => (None, Code::Budget),
        _ => (Some(FORM), Code::Malformed),
    };
    (index, Objection { rule, code, text: error.to_string() })
}
