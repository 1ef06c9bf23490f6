//! Arguments of a command at the command line, in which `{}` is the key of the item.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};

use super::template::{Template, TemplatePart};
use crate::error::{Error, Result};
use crate::model::script_argument::find_script_argument;

/// What stands for the key.
const PLACEHOLDER: &str = "{}";
/// The literal text `{}`.
const ESCAPED: &str = "{{}}";
/// The longest argument that Linux passes to a program, in bytes.
const MAX_ARGUMENT: usize = 131_071;

/// The key of the item: the one value that such an argument can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ItemKey;

/// An argument of a command that runs once per item. Only `{}` is a placeholder: programs such as awk and jq use other
/// braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemArgument(Template<ItemKey>);

impl ItemArgument {
    /// Parses an argument. `{{}}` is the literal text `{}`.
    pub fn parse(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix(ESCAPED) {
                literal.push_str(PLACEHOLDER);
                rest = after;
            } else if let Some(after) = rest.strip_prefix(PLACEHOLDER) {
                parts.push(TemplatePart::Literal(std::mem::take(&mut literal)));
                parts.push(TemplatePart::Placeholder(ItemKey));
                rest = after;
            } else {
                literal.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
        parts.push(TemplatePart::Literal(literal));
        ItemArgument(Template(parts))
    }

    /// Whether it depends on the item.
    pub fn depends_on_item(&self) -> bool {
        self.0.0.contains(&TemplatePart::Placeholder(ItemKey))
    }

    /// The argument for an item: one argument, whatever the key is.
    ///
    /// # Errors
    /// The reason why no program can get this argument.
    pub fn fill(&self, key: &str) -> Result<OsString, String> {
        let Ok(argument) = self.0.replace::<Infallible>(|ItemKey| Ok(OsStr::new(key)));
        if argument.as_encoded_bytes().contains(&0) {
            return Err(
                "the key has a NUL byte, which no argument can have; read the item from standard input"
                    .into(),
            );
        }
        if argument.len() > MAX_ARGUMENT {
            return Err(format!(
                "an argument with the key has {} bytes, at most {MAX_ARGUMENT}; read the item from standard input",
                argument.len()
            ));
        }
        Ok(argument)
    }
}

/// Checks where a command has `{}`. Data of an item must become neither a program nor a part of code.
///
/// # Errors
/// `invalid_argument` with what to write instead.
pub fn check_placeholders(command: &[String]) -> Result<()> {
    let has_placeholder = |word: &str| ItemArgument::parse(word).depends_on_item();
    if let Some(program) = command.first().filter(|program| has_placeholder(program)) {
        return Err(Error::invalid(format!(
            "command: '{program}': the program cannot depend on the item; use {PLACEHOLDER} in its arguments"
        )));
    }
    match find_script_argument(command, has_placeholder) {
        None => Ok(()),
        Some((interpreter, at)) => Err(Error::invalid(format!(
            "command: {PLACEHOLDER} is inside code that {interpreter} runs, argument {at}: a key could contain code of its own. Read the key from the variable instead (in a shell: \"$TASKTALLY_ITEM\"), pass it as an argument of its own (sh -c 'echo \"$1\"' sh {PLACEHOLDER}), or write {ESCAPED} for the literal text {PLACEHOLDER}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_becomes_a_part_of_one_argument() {
        #[track_caller]
        fn check(argument: &str, key: &str, expected: &str) {
            assert_eq!(ItemArgument::parse(argument).fill(key), Ok(OsString::from(expected)), "{argument}");
        }
        check("{}", "a b; rm -rf *", "a b; rm -rf *");
        check("--out=x/{}.txt", "é", "--out=x/é.txt");
        check("{}{}", "{}", "{}{}");
        check("{{}}", "a", "{}");
        check("{print}", "a", "{print}");
        check("{\"a\": {{}}}", "k", "{\"a\": {}}");
        check("", "a", "");
        assert!(!ItemArgument::parse("{{}} {x}").depends_on_item());
        assert!(ItemArgument::parse("a{}").depends_on_item());
    }

    #[test]
    fn an_impossible_argument_is_refused_with_the_reason() {
        assert!(ItemArgument::parse("{}").fill("a\0b").unwrap_err().contains("NUL"));
        let long = ItemArgument::parse(&"{}".repeat(1_000)).fill(&"x".repeat(200)).unwrap_err();
        assert!(long.contains("200000 bytes, at most 131071"), "{long}");
    }

    #[test]
    fn a_placeholder_in_code_is_refused_with_what_to_write_instead() {
        #[track_caller]
        fn check(command: &[&str], expected: Option<&str>) {
            let words: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
            match (check_placeholders(&words), expected) {
                (Ok(()), None) => {}
                (Err(error), Some(expected)) => assert!(error.to_string().contains(expected), "{error}"),
                (result, _) => panic!("{command:?}: {result:?}"),
            }
        }
        check(&["sh", "-c", "rm {}"], Some("\"$TASKTALLY_ITEM\""));
        check(&["./{}", "x"], Some("the program cannot depend on the item"));
        check(&["sh", "-c", "echo {{}}", "sh", "{}"], None);
        check(&["convert", "{}", "out/{}.png"], None);
    }
}
