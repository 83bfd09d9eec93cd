//! Scripts, and pages in place of errors.

use super::{Pattern, Returned};
use crate::config::template::Template;

/// A step of `rewrite`.
#[derive(Clone, Debug)]
pub enum Step {
    /// Changes the path where it fits.
    Rewrite(Box<Rewrite>),
    /// Gives a variable a value.
    Set {
        /// Which.
        variable: Assigned,
        /// Its value.
        value: Template,
    },
    /// Answers.
    Return(Returned),
    /// Nothing more.
    Break,
    /// Some steps under a condition.
    If(Box<Branch>),
}

/// What `set` can set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assigned {
    /// `$limit_rate`
    Rate,
    /// A variable of the configuration, by its number.
    Own(usize),
    /// `$args`
    Args,
}

/// `rewrite REGEX REPLACEMENT`.
#[derive(Clone, Debug)]
pub struct Rewrite {
    /// What the decoded path must fit.
    pub pattern: Pattern,
    /// What it becomes, up to the first `?`.
    pub path: Template,
    /// What stands behind the `?`.
    pub args: Option<Template>,
    /// The arguments of the request are added.
    pub keep_args: bool,
    /// What follows.
    pub flag: Option<RewriteFlag>,
}

/// What follows a rewrite that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RewriteFlag {
    /// A location is looked for anew.
    Last,
    /// The location stays.
    Break,
    /// 302
    Redirect,
    /// 301
    Permanent,
}

/// An `if`.
#[derive(Clone, Debug)]
pub struct Branch {
    /// When.
    pub condition: Condition,
    /// What then.
    pub script: Vec<Step>,
    /// What holds then, among the branches of the location.
    pub location: Option<usize>,
}

/// The condition of an `if`.
#[derive(Clone, Debug)]
pub struct Condition {
    /// What is looked at.
    pub subject: Template,
    /// How.
    pub test: Test,
    /// It holds where the test fails.
    pub not: bool,
}

/// How a value is looked at.
#[derive(Clone, Debug)]
pub enum Test {
    /// It is neither empty nor `0`.
    Set,
    /// It is this.
    Equals(Template),
    /// It fits.
    Matches(Pattern),
    /// It is the path of such a file.
    File(FileTest),
}

/// What a file is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileTest {
    /// `-f`
    File,
    /// `-d`
    Directory,
    /// `-e`
    Exists,
    /// `-x`
    Executable,
}

/// One page of `error_page`.
#[derive(Clone, Debug)]
pub struct ErrorPage {
    /// The statuses it is for.
    pub codes: Vec<u16>,
    /// What the client gets as status.
    pub status: PageStatus,
    /// A path, `@name`, or a URL.
    pub to: Template,
}

/// The status of an error that has a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageStatus {
    /// The error's.
    OfError,
    /// The page's.
    OfPage,
    /// This.
    Given(u16),
}
