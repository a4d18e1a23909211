//! `$(NAME)` references in env values, commands and arguments.
//!
//! Follows Kubernetes' third_party/forked/golang/expansion: `$$` is a `$`, an undefined or unfinished reference stays as it is
//! written, nothing is expanded twice. One thing differs: there, a `$` before a character beyond ASCII breaks that character into
//! bytes that are not UTF-8; here it stays whole, as WASI has only UTF-8.

const OPERATOR: char = '$';
const OPENER: char = '(';
const CLOSER: char = ')';

/// `input` with each reference replaced by what `lookup` knows of its name.
pub fn expand<'v>(input: &str, lookup: impl Fn(&str) -> Option<&'v str>) -> String {
    let mut out = String::with_capacity(input.len());
    let mut rest = input;
    while let Some(at) = rest.find(OPERATOR) {
        let (before, reference) = rest.split_at(at);
        out.push_str(before);
        let after = &reference[OPERATOR.len_utf8()..];
        match after.chars().next() {
            None => {
                out.push(OPERATOR);
                return out;
            }
            Some(OPERATOR) => {
                out.push(OPERATOR);
                rest = &after[OPERATOR.len_utf8()..];
            }
            Some(OPENER) => match after.find(CLOSER) {
                Some(end) => {
                    let name = &after[OPENER.len_utf8()..end];
                    match lookup(name) {
                        Some(value) => out.push_str(value),
                        None => out.push_str(&reference[..end + OPERATOR.len_utf8() + CLOSER.len_utf8()]),
                    }
                    rest = &after[end + CLOSER.len_utf8()..];
                }
                None => {
                    out.push(OPERATOR);
                    out.push(OPENER);
                    rest = &after[OPENER.len_utf8()..];
                }
            },
            Some(other) => {
                out.push(OPERATOR);
                out.push(other);
                rest = &after[other.len_utf8()..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str) -> Option<&'static str> {
        match name {
            "VAR_A" => Some("A"),
            "VAR_B" => Some("B"),
            "VAR_C" => Some("C"),
            "VAR_REF" => Some("$(VAR_A)"),
            "VAR_EMPTY" => Some(""),
            _ => None,
        }
    }

    #[test]
    fn the_table_of_the_original() {
        // the cases of expand_test.go
        for (input, expected) in [
            ("", ""),
            ("foo", "foo"),
            ("$(VAR_A)", "A"),
            ("___$(VAR_B)___", "___B___"),
            ("___$(VAR_C)", "___C"),
            ("$(VAR_A)-$(VAR_A)", "A-A"),
            ("$(VAR_A)-1", "A-1"),
            ("$(VAR_A)_$(VAR_B)_$(VAR_C)", "A_B_C"),
            ("$$(VAR_B)_$(VAR_A)", "$(VAR_B)_A"),
            ("$$(VAR_A)_$$(VAR_B)", "$(VAR_A)_$(VAR_B)"),
            ("f000-$$VAR_A", "f000-$VAR_A"),
            ("foo\\$(VAR_C)bar", "foo\\Cbar"),
            ("foo\\\\$(VAR_C)bar", "foo\\\\Cbar"),
            ("foo\\\\\\\\$(VAR_A)bar", "foo\\\\\\\\Abar"),
            ("$(VAR_A$(VAR_B))", "$(VAR_A$(VAR_B))"),
            ("$(VAR_A$(VAR_B)", "$(VAR_A$(VAR_B)"),
            ("$(VAR_REF)", "$(VAR_A)"),
            ("%%$(VAR_REF)--$(VAR_REF)%%", "%%$(VAR_A)--$(VAR_A)%%"),
            ("foo$(VAR_EMPTY)bar", "foobar"),
            ("foo$(VAR_Awhoops!", "foo$(VAR_Awhoops!"),
            ("f00__(VAR_A)__", "f00__(VAR_A)__"),
            ("$?_boo_$!", "$?_boo_$!"),
            ("$VAR_A", "$VAR_A"),
            ("$(VAR_DNE)", "$(VAR_DNE)"),
            ("$$$$$$(BIG_MONEY)", "$$$(BIG_MONEY)"),
            ("$$$$$$(VAR_A)", "$$$(VAR_A)"),
            ("$$$$$$$(GOOD_ODDS)", "$$$$(GOOD_ODDS)"),
            ("$$$$$$$(VAR_A)", "$$$A"),
            ("$VAR_A)", "$VAR_A)"),
            ("${VAR_A}", "${VAR_A}"),
            ("$(VAR_B)_______$(A", "B_______$(A"),
            ("$(VAR_C)_______$(", "C_______$("),
            ("$(VAR_A)foobarzab$", "Afoobarzab$"),
            ("foo-\\$(VAR_A", "foo-\\$(VAR_A"),
            ("--$($($($($--", "--$($($($($--"),
            ("$($($($($--foo$(", "$($($($($--foo$("),
            ("foo0--$($($($(", "foo0--$($($($("),
            ("$(foo$$var)", "$(foo$$var)"),
            ("$é$(VAR_A)", "$éA"),
        ] {
            assert_eq!(expand(input, known), expected, "{input}");
        }
    }

    proptest::proptest! {
        #[test]
        fn text_without_a_dollar_stays(input in "[^$]*") {
            assert_eq!(expand(&input, known), input);
        }

        #[test]
        fn doubled_dollars_protect_anything(input in ".*") {
            assert_eq!(expand(&input.replace('$', "$$"), known), input);
        }

        #[test]
        fn unknown_names_change_nothing_but_doubled_dollars(parts in proptest::collection::vec("[a-z$() é]{0,6}", 0..8)) {
            let input = parts.concat();
            proptest::prop_assume!(!input.contains("$$"));
            assert_eq!(expand(&input, |_| None), input);
        }
    }
}
