//! How many values a JSON text may have. A value of two bytes occupies hundreds of bytes once it is parsed, so they are
//! counted in the text.

/// The most values in one message: elements of lists, members of objects, lists and objects.
pub const MAX_VALUES: usize = 250_000;

/// What is wrong with a JSON text that has more than [`MAX_VALUES`] values; none if it has not. The text need not be
/// valid.
pub fn refuse_too_many_values(json: &[u8]) -> Option<String> {
    (count_values(json) > MAX_VALUES).then(|| {
        format!(
            "more than the allowed {MAX_VALUES} values (elements of lists and members of objects) in one message; send less at once, or write many items to a file: create_batch(source=…)"
        )
    })
}

/// How many values a text has: each is behind a bracket or a comma. Stops soon after [`MAX_VALUES`].
fn count_values(json: &[u8]) -> usize {
    // Each value takes two bytes at least.
    if json.len() <= MAX_VALUES {
        return 0;
    }
    let (mut count, mut in_string, mut bytes) = (0, false, json.iter());
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if in_string => {
                bytes.next();
            }
            b'"' => in_string = !in_string,
            b'[' | b'{' | b',' if !in_string => {
                count += 1;
                if count > MAX_VALUES {
                    break;
                }
            }
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_outside_of_strings() {
        fn check(json: &str, is_refused: bool) {
            assert_eq!(refuse_too_many_values(json.as_bytes()).is_some(), is_refused, "{}", &json[..20]);
        }
        let list = |element: &str, count: usize| format!("[{}]", vec![element; count].join(","));
        check(&list("0", MAX_VALUES), false);
        check(&list("0", MAX_VALUES + 1), true);
        check(&list("[]", MAX_VALUES / 2 + 1), true);
        check(&list("{\"a\":1}", MAX_VALUES / 2 + 1), true);
        check(&list("\"[,\\\",{\"", MAX_VALUES), false);
        check(&"[".repeat(MAX_VALUES + 1), true);
        check(&format!("\"{}\"", ",".repeat(MAX_VALUES * 2)), false);
    }
}
