//! From the environment to settings: where things are. Everything that is wrong is told at once.
//!
//! | variable | meaning | left out or empty |
//! | --- | --- | --- |
//! | `PROCESSED_BUCKET` | where everything is written | refused |
//! | `PROCESSED_PREFIX` | what all keys written there begin with | no prefix |
//! | `UPLOAD_BUCKET` | the only bucket whose events are taken | any bucket's |
//! | `UPLOAD_PREFIX` | what an upload's key begins with; not part of renditions' keys | no prefix |
//! | `INCLUDE`, `EXCLUDE` | glob patterns with commas between, over keys below the upload prefix | everything, nothing |
//! | `RECIPE` | `s3://bucket/key`; or the recipe itself, if there is a line end or `=` in it; or a file | the default recipe |
//! | `FAILED_PREFIX` | where failure records go, below `PROCESSED_PREFIX` | as the recipe says (`failed/`) |
//! | `REMOVALS` | `keep` or `delete` the renditions of a removed upload | `keep` |
//! | `LOG_LEVEL` | `DEBUG`, `INFO`, `WARNING`, `ERROR`, `CRITICAL`: detail lines only, never signals | `INFO` |
//! | `METRICS` | `embedded` or `none` | `embedded` |
//! | `METRIC_NAMESPACE` | the namespace of those metrics | `ImageProcessor/Lambda` |
//! | `CRITICAL_TOPIC_ARN`, `PERFORMANCE_TOPIC_ARN`, `LOGS_TOPIC_ARN` | SNS topics for alerts, all three or none | no alerts |
//!
//! Lambda's own: `AWS_LAMBDA_LOG_FORMAT` (must not be `Text`), `AWS_LAMBDA_FUNCTION_MEMORY_SIZE`,
//! `AWS_LAMBDA_FUNCTION_NAME`, `AWS_LAMBDA_FUNCTION_VERSION`.
//!
//! **The output must not feed the function.** If `UPLOAD_BUCKET` and `PROCESSED_BUCKET` are the same,
//! both prefixes are needed and neither may begin with the other; anything else is refused here.
//! Without `UPLOAD_BUCKET` the check happens event by event ([`Rules`]): whatever lies in the processed
//! bucket below the processed prefix is skipped as our own output, so without a prefix no event from
//! that bucket is ever processed.

use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use pixmill::key::MAX_PREFIX_BYTES;
use pixmill::process::Removals;
use pixmill::recipe::{DEFAULT_RECIPE, Recipe};

use crate::bounded::one_line;
use crate::select::{Patterns, Rules};

/// The namespace of the metrics unless `METRIC_NAMESPACE` says otherwise.
pub const DEFAULT_NAMESPACE: &str = "ImageProcessor/Lambda";

/// The most characters of a bad value that are repeated.
const MAX_VALUE_CHARS: usize = 100;

/// Where things are.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Buckets, prefixes and patterns.
    pub rules: Rules,
    /// Where the recipe comes from.
    pub recipe: RecipeFrom,
    /// Where failure records go, below the processed prefix, instead of where the recipe says.
    pub failed_prefix: Option<String>,
    /// What happens to the renditions of a removed upload.
    pub removals: Removals,
    /// The least level of detail lines.
    pub log_level: LogLevel,
    /// How metrics leave the function.
    pub metrics: Metrics,
    /// The namespace of the metrics.
    pub metric_namespace: String,
    /// Where alerts go.
    pub topics: Option<Topics>,
    /// What Lambda says of the function.
    pub function: Function,
}

/// Where the recipe comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecipeFrom {
    /// The default one, or one given as text: read, checked, and with the failed prefix in it.
    Ready(Box<Recipe>),
    /// An object; its text goes through [`Settings::recipe_from`].
    Object {
        /// Its bucket.
        bucket: String,
        /// Its key.
        key: String,
    },
    /// A file; its text goes through [`Settings::recipe_from`].
    File(PathBuf),
}

/// How much detail is logged. Signals are always written: a quieter log must not blind the metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// What happens.
    #[default]
    Info,
    /// What may become trouble.
    Warning,
    /// What failed.
    Error,
    /// What a person must look at.
    Critical,
}

/// How metrics leave the function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Metrics {
    /// As embedded-metric lines in the log.
    #[default]
    Embedded,
    /// Not at all; metric filters still count log lines.
    None,
}

/// The SNS topics of the three alert channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    /// For what a person must look at now.
    pub critical: String,
    /// For what is slow or large.
    pub performance: String,
    /// For everything else.
    pub logs: String,
}

/// What Lambda says of the function; nothing where it runs elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Its memory, in megabytes (2^20 bytes each).
    pub memory_mb: Option<u32>,
}

/// One thing that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The variable.
    pub variable: &'static str,
    /// Its value, bounded; none where it is missing.
    pub value: Option<String>,
    /// What is wrong, and what to do about it.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{} = {value:?}: {}", self.variable, self.remedy),
            None => write!(f, "{} is not set: {}", self.variable, self.remedy),
        }
    }
}

/// Everything that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problems: Vec<String> = self.problems.iter().map(Problem::to_string).collect();
        f.write_str(&problems.join("\n"))
    }
}

impl std::error::Error for SettingsError {}

impl Settings {
    /// Reads and checks the settings; `get` gives a variable's value, if it is set.
    pub fn from_env(get: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let mut env = Reader {
            get: &get,
            problems: Vec::new(),
        };
        let rules = env.rules();
        let failed_prefix = env.failed_prefix();
        let removals = env.removals(&rules);
        let settings = Self {
            recipe: env.recipe(failed_prefix.as_deref()),
            failed_prefix,
            rules,
            removals,
            log_level: env.log_level(),
            metrics: env.choice(
                "METRICS",
                &[("embedded", Metrics::Embedded), ("none", Metrics::None)],
            ),
            metric_namespace: env.namespace(),
            topics: env.topics(),
            function: env.function(),
        };
        if env.problems.is_empty() {
            Ok(settings)
        } else {
            Err(SettingsError {
                problems: env.problems,
            })
        }
    }

    /// Reads a recipe that was fetched from where [`RecipeFrom`] says, checks that it is fit for
    /// events, and puts the failed prefix into it.
    pub fn recipe_from(&self, text: &str) -> Result<Recipe, SettingsError> {
        ready_recipe(text, self.failed_prefix.as_deref()).map_err(|remedy| SettingsError {
            problems: vec![Problem {
                variable: "RECIPE",
                value: Some(match &self.recipe {
                    RecipeFrom::Ready(_) => one_line(text, MAX_VALUE_CHARS),
                    RecipeFrom::Object { bucket, key } => format!("s3://{bucket}/{key}"),
                    RecipeFrom::File(path) => path.display().to_string(),
                }),
                remedy,
            }],
        })
    }
}

/// Collects problems instead of stopping at the first.
struct Reader<'a> {
    get: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    /// Empty is absent: Terraform can't leave a variable out as easily as it sets it to "".
    fn value(&self, variable: &str) -> Option<String> {
        (self.get)(variable).filter(|value| !value.is_empty())
    }

    fn problem(&mut self, variable: &'static str, remedy: impl Into<String>) {
        let value = self.value(variable);
        self.problems.push(Problem {
            variable,
            value: value.map(|value| one_line(&value, MAX_VALUE_CHARS)),
            remedy: remedy.into(),
        });
    }

    /// A value that `check` finds nothing wrong with.
    fn checked(
        &mut self,
        variable: &'static str,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Option<String> {
        let value = self.value(variable)?;
        match check(&value) {
            Ok(()) => Some(value),
            Err(remedy) => {
                self.problem(variable, remedy);
                None
            }
        }
    }

    /// One of a few words; the first one is the default.
    fn choice<T: Copy>(&mut self, variable: &'static str, choices: &[(&str, T)]) -> T {
        let default = choices[0].1;
        let Some(value) = self.value(variable) else {
            return default;
        };
        if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == value) {
            return *choice;
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        self.problem(variable, format!("not known; use {}", words.join(" or ")));
        default
    }

    fn rules(&mut self) -> Rules {
        if self.value("PROCESSED_BUCKET").is_none() {
            self.problem(
                "PROCESSED_BUCKET",
                "give the name of the bucket for renditions",
            );
        }
        let rules = Rules {
            upload_bucket: self.checked("UPLOAD_BUCKET", check_bucket),
            upload_prefix: self
                .checked("UPLOAD_PREFIX", check_prefix)
                .unwrap_or_default(),
            processed_bucket: self
                .checked("PROCESSED_BUCKET", check_bucket)
                .unwrap_or_default(),
            processed_prefix: self
                .checked("PROCESSED_PREFIX", check_prefix)
                .unwrap_or_default(),
            include: self.patterns("INCLUDE"),
            exclude: self.patterns("EXCLUDE"),
        };
        if rules.processed_prefix.len() > MAX_PREFIX_BYTES {
            self.problem(
                "PROCESSED_PREFIX",
                format!(
                    "{} bytes; at most {MAX_PREFIX_BYTES}, so that every key has room behind it",
                    rules.processed_prefix.len()
                ),
            );
        }
        let (from, to) = (self.value("UPLOAD_PREFIX"), self.value("PROCESSED_PREFIX"));
        let apart = match (&from, &to) {
            (Some(from), Some(to)) => !from.starts_with(to) && !to.starts_with(from),
            _ => false,
        };
        if rules.upload_bucket.as_ref() == Some(&rules.processed_bucket) && !apart {
            self.problem(
                "PROCESSED_BUCKET",
                format!(
                    "it is the UPLOAD_BUCKET too, so the function would process its own output; use another bucket, or set UPLOAD_PREFIX (now {:?}) and PROCESSED_PREFIX (now {:?}) so that neither begins with the other, such as \"uploads/\" and \"processed/\"",
                    rules.upload_prefix, rules.processed_prefix
                ),
            );
        }
        rules
    }

    fn removals(&mut self, rules: &Rules) -> Removals {
        let removals = self.choice(
            "REMOVALS",
            &[("keep", Removals::Keep), ("delete", Removals::Delete)],
        );
        if removals == Removals::Delete && rules.upload_bucket.is_none() {
            self.problem(
                "REMOVALS",
                "set UPLOAD_BUCKET too: otherwise a removal in any bucket would take the renditions of another bucket's upload of the same name",
            );
        }
        removals
    }

    fn patterns(&mut self, variable: &'static str) -> Patterns {
        let Some(list) = self.value(variable) else {
            return Patterns::default();
        };
        Patterns::parse(&list).unwrap_or_else(|error| {
            let remedy = format!("{error}; write patterns such as *.jpg,*.{{png,webp}}");
            self.problem(variable, remedy);
            Patterns::default()
        })
    }

    fn failed_prefix(&mut self) -> Option<String> {
        self.checked("FAILED_PREFIX", |prefix| {
            // The prefix becomes part of a key template, where braces mean something.
            if prefix.contains(['{', '}']) {
                return Err("leave the braces out; the upload's key is put after it".to_owned());
            }
            check_prefix(prefix)
        })
    }

    fn recipe(&mut self, failed_prefix: Option<&str>) -> RecipeFrom {
        let value = self.value("RECIPE");
        let is_text = |value: &str| value.contains(['\n', '=']);
        if let Some(address) = value.as_ref().and_then(|v| v.strip_prefix("s3://")) {
            return match address.split_once('/') {
                Some((bucket, key)) if check_bucket(bucket).is_ok() && !key.is_empty() => {
                    RecipeFrom::Object {
                        bucket: bucket.to_owned(),
                        key: key.to_owned(),
                    }
                }
                _ => {
                    self.problem("RECIPE", "write s3://bucket/key");
                    RecipeFrom::File(PathBuf::new())
                }
            };
        }
        let text = match &value {
            Some(value) if !is_text(value) => return RecipeFrom::File(value.into()),
            Some(text) => text,
            None => DEFAULT_RECIPE,
        };
        match ready_recipe(text, failed_prefix) {
            Ok(recipe) => RecipeFrom::Ready(Box::new(recipe)),
            Err(remedy) => {
                // Where the default recipe is used, only the prefix can be at fault.
                let variable = if value.is_some() {
                    "RECIPE"
                } else {
                    "FAILED_PREFIX"
                };
                self.problem(variable, remedy);
                RecipeFrom::File(PathBuf::new())
            }
        }
    }

    /// By Python's names, in any case: the system that this one replaces was set by them.
    fn log_level(&mut self) -> LogLevel {
        let Some(value) = self.value("LOG_LEVEL") else {
            return LogLevel::default();
        };
        match value.to_ascii_uppercase().as_str() {
            "DEBUG" => LogLevel::Debug,
            "INFO" => LogLevel::Info,
            "WARNING" | "WARN" => LogLevel::Warning,
            "ERROR" => LogLevel::Error,
            "CRITICAL" | "FATAL" => LogLevel::Critical,
            _ => {
                self.problem(
                    "LOG_LEVEL",
                    "not known; use DEBUG, INFO, WARNING, ERROR or CRITICAL",
                );
                LogLevel::default()
            }
        }
    }

    fn namespace(&mut self) -> String {
        let namespace = self.checked("METRIC_NAMESPACE", |namespace| {
            let is_fit = |c: char| c.is_ascii_alphanumeric() || ".-_/#: ".contains(c);
            if namespace.len() > 255 {
                Err(format!("{} characters; at most 255", namespace.len()))
            } else if namespace.starts_with(':') || namespace.starts_with("AWS/") {
                Err("it must not begin with a colon or with AWS/".to_owned())
            } else if !namespace.chars().all(is_fit) {
                Err("use letters, digits, spaces and . - _ / # : only".to_owned())
            } else {
                Ok(())
            }
        });
        namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned())
    }

    fn topics(&mut self) -> Option<Topics> {
        const VARIABLES: [&str; 3] = [
            "CRITICAL_TOPIC_ARN",
            "PERFORMANCE_TOPIC_ARN",
            "LOGS_TOPIC_ARN",
        ];
        if VARIABLES
            .iter()
            .all(|variable| self.value(variable).is_none())
        {
            return None;
        }
        let topics = VARIABLES.map(|variable| {
            if self.value(variable).is_none() {
                self.problem(
                    variable,
                    "the topics of all three channels are needed, or none of them",
                );
            }
            self.checked(variable, check_topic).unwrap_or_default()
        });
        let [critical, performance, logs] = topics;
        Some(Topics {
            critical,
            performance,
            logs,
        })
    }

    fn function(&mut self) -> Function {
        let format = self.value("AWS_LAMBDA_LOG_FORMAT");
        if format.is_some_and(|format| format != "JSON") {
            self.problem(
                "AWS_LAMBDA_LOG_FORMAT",
                "the metric filters read JSON lines; set log_format = \"JSON\" in the function's logging_config",
            );
        }
        let memory = self.value("AWS_LAMBDA_FUNCTION_MEMORY_SIZE");
        let memory_mb = memory.and_then(|value| {
            let megabytes = value.parse().ok().filter(|megabytes| *megabytes > 0);
            if megabytes.is_none() {
                self.problem(
                    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
                    "Lambda sets it to a number of megabytes; leave it out elsewhere",
                );
            }
            megabytes
        });
        Function {
            name: self.value("AWS_LAMBDA_FUNCTION_NAME"),
            version: self.value("AWS_LAMBDA_FUNCTION_VERSION"),
            memory_mb,
        }
    }
}

/// The failed prefix takes the place of the whole template, `failed/{path}.json` by default: what
/// comes after the prefix is the same in every recipe that is fit for events.
fn ready_recipe(text: &str, failed_prefix: Option<&str>) -> Result<Recipe, String> {
    let mut recipe = Recipe::from_toml(text).map_err(|error| error.to_string())?;
    if let Some(prefix) = failed_prefix {
        let template = format!("{prefix}{{path}}.json").parse();
        recipe.output.failed = template.map_err(|error| format!("FAILED_PREFIX: {error}"))?;
        recipe.check().map_err(|error| error.to_string())?;
    }
    recipe
        .check_for_events()
        .map_err(|error| error.to_string())?;
    Ok(recipe)
}

fn check_bucket(name: &str) -> Result<(), String> {
    let is_edge = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_fit = |byte: &u8| is_edge(byte) || matches!(byte, b'-' | b'.');
    let bytes = name.as_bytes();
    let edges = [bytes.first(), bytes.last()];
    if !(3..=63).contains(&bytes.len()) {
        Err(format!(
            "{} bytes; a bucket's name has 3 to 63",
            bytes.len()
        ))
    } else if !bytes.iter().all(is_fit) {
        Err("use the bucket's bare name: lower-case letters, digits, dots and hyphens".to_owned())
    } else if !edges.into_iter().flatten().all(is_edge) || name.contains("..") {
        Err(
            "a bucket's name begins and ends with a letter or digit, and has no two dots in a row"
                .to_owned(),
        )
    } else if name.parse::<Ipv4Addr>().is_ok() {
        Err("a bucket's name must not look like an address".to_owned())
    } else {
        Ok(())
    }
}

fn check_prefix(prefix: &str) -> Result<(), String> {
    if prefix.starts_with('/') || !prefix.ends_with('/') {
        let better = prefix.trim_matches('/');
        return Err(if better.is_empty() {
            "leave it empty for no prefix".to_owned()
        } else {
            let better = one_line(better, MAX_VALUE_CHARS);
            format!("a prefix ends with a slash and does not begin with one; write \"{better}/\"")
        });
    }
    if prefix.chars().any(char::is_control) {
        return Err("leave control characters out".to_owned());
    }
    Ok(())
}

/// `arn:aws:sns:eu-west-1:123456789012:name`, of any partition.
fn check_topic(arn: &str) -> Result<(), String> {
    let parts: Vec<&str> = arn.split(':').collect();
    let is_fit = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let is_topic = match parts[..] {
        ["arn", partition, "sns", region, account, name] => {
            partition.starts_with("aws")
                && !region.is_empty()
                && account.len() == 12
                && account.chars().all(|c| c.is_ascii_digit())
                && (1..=256).contains(&name.len())
                && [partition, region, name]
                    .iter()
                    .all(|part| part.chars().all(is_fit))
        }
        _ => false,
    };
    if is_topic {
        Ok(())
    } else {
        Err(
            "give the ARN of a standard SNS topic, such as arn:aws:sns:eu-west-1:123456789012:name"
                .to_owned(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::from_env(|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn good(variables: &[(&str, &str)]) -> Settings {
        let base = [("PROCESSED_BUCKET", "processed-bucket")];
        settings(&[variables, &base].concat()).expect("the settings are good")
    }

    /// What is said of the settings, apart from the bucket that is always needed.
    fn complaint(variables: &[(&str, &str)]) -> String {
        let base = [("PROCESSED_BUCKET", "processed-bucket")];
        let error = settings(&[variables, &base].concat()).expect_err("the settings are bad");
        error.to_string()
    }

    #[test]
    fn a_processed_bucket_is_all_that_is_needed() {
        let settings = good(&[]);
        assert_eq!(settings.rules.processed_bucket, "processed-bucket");
        assert_eq!(settings.rules.upload_bucket, None);
        assert_eq!(
            settings.recipe,
            RecipeFrom::Ready(Box::new(Recipe::default_recipe()))
        );
        assert_eq!(settings.removals, Removals::Keep);
        assert_eq!(settings.log_level, LogLevel::Info);
        assert_eq!(settings.metrics, Metrics::Embedded);
        assert_eq!(settings.metric_namespace, "ImageProcessor/Lambda");
        assert_eq!(settings.topics, None);
        assert_eq!(settings.function, Function::default());
    }

    #[test]
    fn an_empty_variable_is_an_absent_one() {
        let settings = good(&[
            ("UPLOAD_BUCKET", ""),
            ("RECIPE", ""),
            ("METRICS", ""),
            ("LOGS_TOPIC_ARN", ""),
        ]);
        assert_eq!(settings.rules.upload_bucket, None);
        assert_eq!(settings.topics, None);
    }

    #[test]
    fn every_problem_is_told_at_once_with_its_variable_value_and_remedy() {
        let error = settings(&[
            ("UPLOAD_BUCKET", "My_Bucket"),
            ("UPLOAD_PREFIX", "/in"),
            ("INCLUDE", "*.{jpg"),
            ("RECIPE", "version = 7\n"),
            ("REMOVALS", "maybe"),
            ("LOG_LEVEL", "LOUD"),
            ("METRICS", "prometheus"),
            ("METRIC_NAMESPACE", "AWS/Lambda"),
            ("CRITICAL_TOPIC_ARN", "arn:aws:sqs:eu-west-1:123456789012:q"),
            ("AWS_LAMBDA_LOG_FORMAT", "Text"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "lots"),
        ])
        .expect_err("nearly all of it is bad");
        let mut variables: Vec<&str> = error.problems.iter().map(|p| p.variable).collect();
        variables.sort_unstable();
        assert_eq!(
            variables,
            [
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
                "AWS_LAMBDA_LOG_FORMAT",
                "CRITICAL_TOPIC_ARN",
                "INCLUDE",
                "LOGS_TOPIC_ARN",
                "LOG_LEVEL",
                "METRICS",
                "METRIC_NAMESPACE",
                "PERFORMANCE_TOPIC_ARN",
                "PROCESSED_BUCKET",
                "RECIPE",
                "REMOVALS",
                "UPLOAD_BUCKET",
                "UPLOAD_PREFIX",
            ]
        );
        let words = error.to_string();
        for line in [
            "PROCESSED_BUCKET is not set: give the name of the bucket for renditions",
            "UPLOAD_PREFIX = \"/in\": a prefix ends with a slash and does not begin with one; write \"in/\"",
            "REMOVALS = \"maybe\": not known; use keep or delete",
            "LOGS_TOPIC_ARN is not set: the topics of all three channels are needed, or none of them",
        ] {
            assert!(
                words.lines().any(|said| said == line),
                "{line}\nis not in\n{words}"
            );
        }
    }

    #[test]
    fn bad_names_of_buckets_are_refused() {
        let long = "x".repeat(64);
        for name in [
            "ab",
            &long,
            "Upper",
            "under_score",
            "-x-",
            "a..b",
            "192.0.2.1",
            "s3://name",
            "arn:aws:s3:::name",
        ] {
            let words = complaint(&[("UPLOAD_BUCKET", name)]);
            assert!(words.starts_with("UPLOAD_BUCKET = "), "{name}: {words}");
        }
        for name in ["abc", "a.b-c.1", "photos--use1-az4--x-s3"] {
            good(&[("UPLOAD_BUCKET", name)]);
        }
    }

    #[test]
    fn prefixes_end_with_a_slash_and_do_not_begin_with_one() {
        for (variable, bad) in [
            ("UPLOAD_PREFIX", "in"),
            ("PROCESSED_PREFIX", "/out/"),
            ("FAILED_PREFIX", "/"),
            ("FAILED_PREFIX", "{dir}/"),
        ] {
            let words = complaint(&[(variable, bad)]);
            assert!(words.starts_with(variable), "{words}");
        }
        let settings = good(&[("UPLOAD_PREFIX", "in/"), ("PROCESSED_PREFIX", "out/deep/")]);
        assert_eq!(settings.rules.upload_prefix, "in/");
        assert_eq!(settings.rules.processed_prefix, "out/deep/");
    }

    #[test]
    fn one_bucket_for_both_needs_prefixes_that_keep_apart() {
        for (from, to) in [
            ("", ""),
            ("in/", ""),
            ("", "out/"),
            ("in/", "in/"),
            ("in/", "in/out/"),
            ("out/in/", "out/"),
        ] {
            let words = complaint(&[
                ("UPLOAD_BUCKET", "processed-bucket"),
                ("UPLOAD_PREFIX", from),
                ("PROCESSED_PREFIX", to),
            ]);
            assert!(words.contains("its own output"), "{from:?} {to:?}: {words}");
        }
        good(&[
            ("UPLOAD_BUCKET", "processed-bucket"),
            ("UPLOAD_PREFIX", "in/"),
            ("PROCESSED_PREFIX", "out/"),
        ]);
        good(&[("UPLOAD_BUCKET", "uploads")]);
    }

    #[test]
    fn a_recipe_is_an_object_or_text_or_a_file() {
        let recipe = |value| good(&[("RECIPE", value)]).recipe;
        assert_eq!(
            recipe("s3://settings/a=b/recipe.toml"),
            RecipeFrom::Object {
                bucket: "settings".to_owned(),
                key: "a=b/recipe.toml".to_owned()
            }
        );
        assert_eq!(
            recipe("recipe.toml"),
            RecipeFrom::File("recipe.toml".into())
        );
        let text = "version = 1\nvariant = [{ name = \"t\", format = \"jpeg\" }]";
        let RecipeFrom::Ready(ready) = recipe(text) else {
            panic!("text is read at once");
        };
        assert_eq!(ready.variants.len(), 1);
        for bad in ["s3://settings", "s3://settings/", "s3://X/key"] {
            assert!(complaint(&[("RECIPE", bad)]).contains("s3://bucket/key"));
        }
    }

    #[test]
    fn a_recipe_that_is_not_fit_for_events_is_refused() {
        let text = "version = 1\n[output]\nkey = \"{dir}{stem}.{ext}\"\n[[variant]]\nname = \"t\"\nformat = \"jpeg\"\n";
        assert!(complaint(&[("RECIPE", text)]).contains("{path}"));
        let fetched = good(&[("RECIPE", "s3://settings/recipe.toml")]).recipe_from(text);
        let words = fetched.expect_err("it is not fit either").to_string();
        assert!(
            words.starts_with("RECIPE = \"s3://settings/recipe.toml\": "),
            "{words}"
        );
    }

    #[test]
    fn the_failed_prefix_takes_the_place_of_the_recipes() {
        let settings = good(&[("FAILED_PREFIX", "errors/images/")]);
        let RecipeFrom::Ready(recipe) = &settings.recipe else {
            panic!("the default recipe is ready");
        };
        assert_eq!(
            recipe.output.failed_key("a/cat.png"),
            "errors/images/a/cat.png.json"
        );
        let fetched = settings.recipe_from(DEFAULT_RECIPE).expect("a good recipe");
        assert_eq!(
            fetched.output.failed_key("cat.png"),
            "errors/images/cat.png.json"
        );
    }

    #[test]
    fn log_levels_go_by_pythons_names_too() {
        for (name, level) in [
            ("DEBUG", LogLevel::Debug),
            ("warn", LogLevel::Warning),
            ("WARNING", LogLevel::Warning),
            ("Error", LogLevel::Error),
            ("FATAL", LogLevel::Critical),
        ] {
            assert_eq!(good(&[("LOG_LEVEL", name)]).log_level, level);
        }
        assert!(LogLevel::Debug < LogLevel::Critical);
    }

    #[test]
    fn topics_come_as_three_or_not_at_all() {
        let arn = "arn:aws-cn:sns:cn-north-1:123456789012:alerts";
        let settings = good(&[
            ("CRITICAL_TOPIC_ARN", arn),
            ("PERFORMANCE_TOPIC_ARN", arn),
            ("LOGS_TOPIC_ARN", arn),
        ]);
        assert_eq!(
            settings.topics.map(|topics| topics.logs),
            Some(arn.to_owned())
        );
        for bad in [
            "alerts",
            "arn:aws:sns:eu-west-1:1:x",
            "arn:aws:sns:eu-west-1:123456789012:x.fifo",
            "arn:aws:sns::123456789012:x",
        ] {
            let words = complaint(&[
                ("CRITICAL_TOPIC_ARN", bad),
                ("PERFORMANCE_TOPIC_ARN", arn),
                ("LOGS_TOPIC_ARN", arn),
            ]);
            assert!(words.starts_with("CRITICAL_TOPIC_ARN = "), "{words}");
        }
    }

    #[test]
    fn what_lambda_says_of_the_function_is_kept() {
        let settings = good(&[
            ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
            ("AWS_LAMBDA_FUNCTION_NAME", "images"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769"),
        ]);
        assert_eq!(settings.function.memory_mb, Some(1769));
        assert_eq!(settings.function.name.as_deref(), Some("images"));
        assert!(complaint(&[("AWS_LAMBDA_LOG_FORMAT", "Text")]).contains("log_format = \"JSON\""));
    }

    #[test]
    fn a_long_bad_value_is_not_repeated_in_full() {
        let recipe = format!("version = 1 # {}\n", "x".repeat(100_000));
        assert!(complaint(&[("RECIPE", &recipe)]).len() < 1000);
    }
}
