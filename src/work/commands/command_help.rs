//! The part of `run --help` and `work --help` that a script's author needs.

/// What a command gets and what its end means, at the end of the help.
macro_rules! command_help {
    ($exit_codes:literal) => {
        concat!(
            "\
What CMD gets, once per item:
  stdin                   The item as JSON, as it stood in the source
  TASKTALLY_ITEM          Its key
  {} in an argument       Its key, as a part of that one argument and of no
                          other; {{}} is the text {}. Put -- before a {} whose
                          key may begin with -, if CMD takes -- as the end of
                          its options. In code, such as that of sh -c, {} is
                          refused: write \"$TASKTALLY_ITEM\" there
  TASKTALLY_TASK, _BATCH  The ids of the chunk and the batch
  TASKTALLY_STEP, _NOTE   The step, if there are several: CMD runs in each of
                          them; a reviewer's note on a redo
  TASKTALLY_IN_DOUBT      Set if an earlier worker started the item and never
                          reported how it ended: check before you act again
  TASKTALLY_CONTEXT       A JSON file with all of it, the instructions and the
                          results of earlier steps

What CMD gives:
  exit code 0             Done. The end of stdout is the receipt: its last line,
                          or JSON with receipt, category, rationale, model,
                          tokens_in, tokens_out, cost
  exit code 75            A temporary failure: the item is tried again, after
                          longer and longer delays, or after the seconds in
                          'Retry-After: SECONDS', the last line of stderr
  any other end           Tried again as often as --retries says; then failed,
                          with the end of stderr and stdout on record;
                          'tasktally logs CHUNK' prints all of it

Exit codes:
",
            $exit_codes
        )
    };
}
pub(super) use command_help;

/// The end of the short help.
pub(super) const SEE_LONG_HELP: &str =
    "--help says as well what CMD gets, what it gives, and what the exit codes mean";
