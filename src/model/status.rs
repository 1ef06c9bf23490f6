//! The enums of a task: status, type, complexity, outcomes.

word_enum!(
    /// A task's status.
    Status, "status" {
        /// New, not yet reviewed.
        Inbox = "inbox",
        /// Ready to be claimed once its dependencies are done.
        Active = "active",
        /// Claimed.
        InProgress = "in_progress" | "in-progress",
        /// Work cannot continue.
        Blocked = "blocked",
        /// Waits for an external event.
        Waiting = "waiting",
        /// Waits for a person's decision.
        Review = "review",
        /// Ready to be merged.
        MergeReady = "merge_ready" | "merge-ready",
        /// Finished.
        Done = "done",
        /// Cancelled.
        Cancelled = "cancelled",
        /// Being split into smaller tasks.
        Decomposing = "decomposing",
        /// Waits for agreement.
        Consensus = "consensus",
        /// Being merged.
        Merging = "merging",
        /// Postponed.
        Dormant = "dormant",
        /// Ended without success.
        Failed = "failed",
        /// Rejected by a person. Only a person opens it again.
        Rejected = "rejected",
    }
);

impl Status {
    /// The status of a chunk as a person reads it: a chunk that no worker has claimed yet is queued.
    pub fn chunk_label(self) -> &'static str {
        match self {
            Status::Active => "queued",
            Status::InProgress => "in progress",
            other => other.as_str(),
        }
    }

    /// Whether the task has ended.
    pub fn is_terminal(self) -> bool {
        matches!(self, Status::Done | Status::Cancelled | Status::Failed | Status::Rejected)
    }
}

word_enum!(
    /// A task's type.
    TaskType, "type" {
        /// A goal.
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
        /// A question to investigate.
        Learn = "learn",
    }
);

word_enum!(
    /// How much judgment a task requires.
    Complexity, "complexity" {
        /// None.
        Mechanical = "mechanical",
        /// Some.
        RequiresJudgment = "requires-judgment",
        /// Several steps.
        MultiStep = "multi-step",
        /// Too large; it must be split first.
        NeedsDecomposition = "needs-decomposition",
        /// A person must act first.
        BlockedHuman = "blocked-human",
    }
);

word_enum!(
    /// How an item was settled.
    Outcome, "outcome" {
        /// It was processed.
        Done = "done",
        /// It could not be processed.
        Failed = "failed",
        /// It was skipped on purpose.
        Skipped = "skipped",
    }
);

word_enum!(
    /// What a receipt reports on an item.
    ItemReport, "outcome" {
        /// The worker starts the action now.
        Started = "started",
        /// It was processed.
        Done = "done",
        /// It could not be processed.
        Failed = "failed",
        /// It was skipped on purpose.
        Skipped = "skipped",
    }
);

impl ItemReport {
    /// The outcome that settles the item; `None` for `started`.
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
    /// The outcome that a worker names when it releases a claim.
    ReleaseOutcome, "outcome of a release" {
        /// Another worker may try.
        Retry = "retry",
        /// The task failed.
        Failed = "failed",
        /// The task is blocked.
        Blocked = "blocked",
    }
);
