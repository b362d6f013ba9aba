//! Regular expressions over topic names: which are accepted, and what they match.
//!
//! Kafka has RE2/J; ours is the `regex` crate: the same syntax but for corners, and as little time as a name is long, whatever the expression.

use super::record::RegularExpression;
use crate::base::Timestamp;
use regex::{Regex, RegexBuilder};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Most memory that an expression may become, since who joins a group chooses it. One of a few hundred characters takes some 10 KiB.
const COMPILED_BYTES_MAX: usize = 1 << 20;
/// How deep its brackets may go: parsing recurses.
const NESTING_MAX: u32 = 50;

/// Why an expression isn't accepted, in words for who wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadExpression(pub String);

/// What a regular expression reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// The topics that it matches.
    pub topics: BTreeSet<Arc<str>>,
    /// How far the metadata had come.
    pub version: i64,
    /// When it was matched.
    pub timestamp: Timestamp,
}

impl From<RegularExpression> for Resolved {
    fn from(value: RegularExpression) -> Resolved {
        Resolved {
            topics: value.topics.into_iter().collect(),
            version: value.version,
            timestamp: value.timestamp,
        }
    }
}

impl From<&Resolved> for RegularExpression {
    fn from(resolved: &Resolved) -> RegularExpression {
        RegularExpression {
            topics: resolved.topics.iter().cloned().collect(),
            version: resolved.version,
            timestamp: resolved.timestamp,
        }
    }
}

/// A group's regular expressions on their way to what they match. The group gives it out, whoever runs it hands in the names of the
/// topics that the member may see, in as many pieces as suit, and gives it back with [`super::Event::ExpressionsResolved`].
#[derive(Debug)]
pub struct Resolution {
    expressions: Vec<(Arc<str>, Option<Regex>)>,
    matched: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
}

impl Resolution {
    /// One that isn't accepted matches nothing: who joined with it was told; a record of another broker may still hold one.
    pub(super) fn of(expressions: impl IntoIterator<Item = Arc<str>>) -> Resolution {
        let expressions: Vec<_> = expressions
            .into_iter()
            .map(|text| (text.clone(), compile(&text).ok()))
            .collect();
        Resolution {
            matched: expressions
                .iter()
                .map(|(text, _)| (text.clone(), BTreeSet::new()))
                .collect(),
            expressions,
        }
    }

    /// Matches these names, each as a whole. Costs expressions × names.
    pub fn look_at<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        for name in names {
            let matches = |(_, regex): &&(Arc<str>, Option<Regex>)| {
                regex.as_ref().is_some_and(|regex| regex.is_match(name))
            };
            let mut shared: Option<Arc<str>> = None;
            for (text, _) in self.expressions.iter().filter(matches) {
                let name = shared.get_or_insert_with(|| name.into());
                self.matched.entry(text.clone()).or_default().insert(name.clone());
            }
        }
    }

    /// What each expression matches of all names so far. `version` is how far the metadata had come that they are of.
    pub fn finish(self, version: i64, timestamp: Timestamp) -> BTreeMap<Arc<str>, Resolved> {
        let resolved = |topics| Resolved {
            topics,
            version,
            timestamp,
        };
        self.matched
            .into_iter()
            .map(|(text, topics)| (text, resolved(topics)))
            .collect()
    }
}

/// Whether the expression is one.
pub(super) fn check(expression: &str) -> Result<(), BadExpression> {
    compile(expression).map(drop)
}

fn compile(expression: &str) -> Result<Regex, BadExpression> {
    let unquoted = unquoted(expression);
    build(&unquoted)?; // By itself first: `a)|(b` must not become sound by what is put around it.
    build(&format!(r"\A(?:{unquoted})\z"))
}

fn build(pattern: &str) -> Result<Regex, BadExpression> {
    RegexBuilder::new(pattern)
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(COMPILED_BYTES_MAX)
        .nest_limit(NESTING_MAX)
        .build()
        .map_err(|error| BadExpression(last_line(&error.to_string())))
}

/// The crate draws a picture of the place and says what is wrong below it.
fn last_line(told: &str) -> String {
    let line = told.lines().last().unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}

/// RE2/J reads `\Q…\E` as the text in between, as Java's `Pattern.quote` writes it; the crate doesn't.
fn unquoted(expression: &str) -> String {
    let mut plain = String::with_capacity(expression.len());
    let mut rest = expression;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        plain.push_str(before);
        if let Some(quoted) = escape.strip_prefix(r"\Q") {
            let (text, after) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
            plain.push_str(&regex::escape(text));
            rest = after;
        } else {
            let length = 1 + escape[1..].chars().next().map_or(0, char::len_utf8);
            plain.push_str(&escape[..length]);
            rest = &escape[length..];
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(expression: &str, names: &[&str]) -> Vec<String> {
        check(expression).unwrap();
        let mut resolution = Resolution::of([expression.into()]);
        for name in names {
            resolution.look_at([*name]);
        }
        let resolved = resolution.finish(7, Timestamp(9));
        let resolved = &resolved[expression];
        assert_eq!((resolved.version, resolved.timestamp), (7, Timestamp(9)));
        resolved.topics.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn an_expression_matches_whole_names_only() {
        assert_eq!(matched("a|ab", &["a", "ab", "abc", "ba"]), ["a", "ab"]);
        assert_eq!(matched("foo.*", &["foo", "foobar", "a.foo"]), ["foo", "foobar"]);
        assert_eq!(matched("(?i)FOO", &["foo", "foo1"]), ["foo"]);
        assert_eq!(matched("(?m)^a$", &["a", "b"]), ["a"]);
        assert_eq!(matched("", &["a"]), [""; 0]);
    }

    #[test]
    fn quoted_text_stands_for_itself() {
        assert_eq!(matched(r"\Qa.b\E.*", &["a.b", "a.b1", "axb"]), ["a.b", "a.b1"]);
        assert_eq!(matched(r"\Qa.b", &["a.b", "axb"]), ["a.b"]);
        assert_eq!(matched(r"a\.b\\?", &["a.b", "axb"]), ["a.b"]);
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for bad in [
            "*",
            "(",
            "a)|(b",
            "[z-a]",
            r"\",
            r"(a)\1",
            "(?=a)",
            "(?x)a # comment",
            "((a{1000}){1000}){1000}",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        let deep = "(".repeat(60) + &")".repeat(60);
        assert!(check(&deep).is_err());
        assert_eq!(
            check("*").unwrap_err().0,
            "repetition operator missing expression"
        );
    }

    #[test]
    fn a_refused_expression_that_a_log_holds_matches_nothing() {
        let mut resolution = Resolution::of(["(".into(), "a".into()]);
        resolution.look_at(["a", "("]);
        let resolved = resolution.finish(1, Timestamp(1));
        assert!(resolved["("].topics.is_empty());
        assert_eq!(resolved["a"].topics.len(), 1);
    }
}
