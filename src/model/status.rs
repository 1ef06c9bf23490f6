//! The words a task's status, type and complexity are made of.

word_enum!(
    /// Where a task stands.
    Status, "status" {
        /// Not yet looked at.
        Inbox = "inbox",
        /// Ready to be claimed once its dependencies are done.
        Active = "active",
        /// Claimed.
        InProgress = "in_progress" | "in-progress",
        /// Cannot go on.
        Blocked = "blocked",
        /// Waits for something outside.
        Waiting = "waiting",
        /// Waits for a person's yes or no.
        Review = "review",
        /// Ready to be merged.
        MergeReady = "merge_ready" | "merge-ready",
        /// Finished.
        Done = "done",
        /// Given up.
        Cancelled = "cancelled",
        /// Being cut into smaller tasks.
        Decomposing = "decomposing",
        /// Waits for agreement.
        Consensus = "consensus",
        /// Being merged.
        Merging = "merging",
        /// Put aside.
        Dormant = "dormant",
        /// Ended without success.
        Failed = "failed",
    }
);

impl Status {
    /// Whether nothing more is expected to happen to such a task.
    pub fn is_terminal(self) -> bool {
        matches!(self, Status::Done | Status::Cancelled | Status::Failed)
    }
}

word_enum!(
    /// What sort of thing a task is.
    TaskType, "type" {
        /// An aim.
        Goal = "goal",
        /// A project.
        Project = "project",
        /// A group of tasks; a batch is one.
        Epic = "epic",
        /// The usual unit of work; a chunk is one.
        Task = "task",
        /// A single action.
        Action = "action",
        /// A defect.
        Bug = "bug",
        /// A feature.
        Feature = "feature",
        /// Something to find out.
        Learn = "learn",
    }
);

word_enum!(
    /// How much judgment a task takes.
    Complexity, "complexity" {
        /// None.
        Mechanical = "mechanical",
        /// Some.
        RequiresJudgment = "requires-judgment",
        /// Several steps.
        MultiStep = "multi-step",
        /// Too large as it stands.
        NeedsDecomposition = "needs-decomposition",
        /// A person has to act first.
        BlockedHuman = "blocked-human",
    }
);

word_enum!(
    /// What became of an item.
    Outcome, "outcome" {
        /// It was processed.
        Done = "done",
        /// It could not be processed.
        Failed = "failed",
        /// It was left alone on purpose.
        Skipped = "skipped",
    }
);

word_enum!(
    /// What a receipt tells of an item.
    ItemReport, "outcome" {
        /// It is about to be acted on.
        Started = "started",
        /// It was processed.
        Done = "done",
        /// It could not be processed.
        Failed = "failed",
        /// It was left alone on purpose.
        Skipped = "skipped",
    }
);

impl ItemReport {
    /// The outcome that settles the item; none where it was only begun.
    pub fn outcome(self) -> Option<Outcome> {
        match self {
            ItemReport::Started => None,
            ItemReport::Done => Some(Outcome::Done),
            ItemReport::Failed => Some(Outcome::Failed),
            ItemReport::Skipped => Some(Outcome::Skipped),
        }
    }
}

impl From<Outcome> for ItemReport {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => ItemReport::Done,
            Outcome::Failed => ItemReport::Failed,
            Outcome::Skipped => ItemReport::Skipped,
        }
    }
}

word_enum!(
    /// What a worker says when it gives a claim back.
    ReleaseOutcome, "outcome of a release" {
        /// Somebody else may try.
        Retry = "retry",
        /// It can't be done.
        Failed = "failed",
        /// It can't go on until something else happens.
        Blocked = "blocked",
    }
);
