//! Rules of the protocol that tests break on purpose.

/// A rule of the protocol that is broken on purpose. A test must notice it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) enum Broken {
    /// No rule is broken.
    #[default]
    No,
    /// A completion ignores that the task is already done.
    IgnoresStatus,
    /// Any token is accepted as the token of the live claim.
    IgnoresToken,
    /// A task that is claimed again keeps its generation and so its token.
    SameGeneration,
    /// A lease never ends.
    EndlessLease,
    /// A lease is live however far in the future it ends.
    FarLease,
    /// A lease does not protect a claim.
    NoLease,
    /// A request with a known key is carried out again.
    ForgetsKeys,
}
