//! What to do if the system refuses another process or thread.

use std::io::{Error, ErrorKind};

/// What to do about an error with which a process or thread was not started, if a limit is the cause. It follows the
/// error in a sentence; empty for other errors.
pub(in crate::work) fn limit_remedy(error: &Error) -> &'static str {
    // The kernel reports the limit on processes, of a user or of a control group, as EAGAIN.
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::OutOfMemory => {
            ". The limit on processes (ulimit -u, or a container's) or on memory (ulimit -v) is reached; raise it, or use fewer --workers"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_limit_has_the_remedy() {
        let remedy = |code: i32| limit_remedy(&Error::from_raw_os_error(code));
        assert!(remedy(11).contains("ulimit -u"), "EAGAIN");
        assert!(remedy(12).contains("ulimit -v"), "ENOMEM");
        assert_eq!(remedy(2), "", "ENOENT");
    }
}
