//! Where the configuration comes from: a file, then the environment, then flags. The later ones win.

use std::path::Path;

use toml::{Table, Value};

use super::Config;
use crate::path::absolute;

/// The beginning of the names of environment variables.
const ENV_PREFIX: &str = "EVERYWAY_";
/// How a key's dot is written in the environment.
const ENV_DOT: &str = "__";
/// Where namespaces stand.
const NAMESPACES: &str = "namespaces.";
/// What stands for the name of a namespace in a key's path.
const NAME: &str = "NAME";

/// A configuration that cannot be used. The text says where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    fn new(source: &str, what: impl std::fmt::Display) -> Self {
        Self(format!("{source}: {what}"))
    }
}

/// Reads the configuration: the file if there is one, then `EVERYWAY_SECTION__KEY` variables, then `section.key=value`
/// settings of the command line.
///
/// # Errors
/// [`ConfigError`] for a file that cannot be read, a key that does not exist, or a value that does not fit.
pub fn load(
    file: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
    settings: &[(String, Value)],
) -> Result<Config, ConfigError> {
    let mut table = match file {
        Some(path) => read_file(path)?,
        None => Table::new(),
    };
    for (name, value) in env {
        check_env_name(&name)?;
        if let Some(path) = env_path(&name) {
            let source = format!("environment variable {name}");
            let value = parse_value(&path, &value);
            set(&mut table, &source, &path, value)?;
        }
    }
    for (path, value) in settings {
        set(&mut table, "command line", path, value.clone())?;
    }
    let config: Config = table
        .try_into()
        .map_err(|error| ConfigError::new("configuration", first_line(&error)))?;
    config
        .check()
        .map_err(|sentence| ConfigError::new("configuration", sentence))?;
    Ok(config)
}

/// A value from text, as the key at this path takes it: what is a string there needs no quotes, and a list of strings may
/// be written with commas.
pub fn parse_value(path: &str, text: &str) -> Value {
    let list = |text: &str| {
        text.split(',')
            .map(|part| Value::String(part.trim().to_owned()))
            .collect()
    };
    match default_of(&known_form(path)) {
        Some(Value::String(_)) => Value::String(text.to_owned()),
        Some(Value::Array(_)) if !text.trim_start().starts_with('[') => Value::Array(list(text)),
        // What is no TOML stays text, and the type of the key says what was expected.
        _ => text
            .parse()
            .unwrap_or_else(|_| Value::String(text.to_owned())),
    }
}

/// The default of a key, as TOML, or nothing if the key does not exist.
pub fn default_of(path: &str) -> Option<Value> {
    let mut config = Config::default();
    // An optional section is looked up as if it were there.
    config.auth.anonymous = Some(super::Anonymous::default());
    config
        .namespaces
        .insert(NAME.to_owned(), super::Namespace::spelled_out());
    config.inbox = super::Inbox::spelled_out();
    let mut value = Value::try_from(config).ok()?;
    for part in path.split('.') {
        value = value.as_table_mut()?.remove(part)?;
    }
    Some(value)
}

fn read_file(path: &Path) -> Result<Table, ConfigError> {
    let source = absolute(path).display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError::new(&source, error))?;
    let table: Table = text
        .parse()
        .map_err(|error| ConfigError::new(&source, error))?;
    for path in paths_of(&table, "") {
        check_path(&source, &path)?;
    }
    // Read alone first, so that a value that does not fit is blamed on its line in the file.
    if let Err(error) = toml::from_str::<Config>(&text) {
        return Err(ConfigError::new(&source, error));
    }
    Ok(table)
}

/// The paths of all values in a table.
fn paths_of(table: &Table, prefix: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for (key, value) in table {
        let path = format!("{prefix}{key}");
        match value {
            Value::Table(inner) if !inner.is_empty() => {
                paths.extend(paths_of(inner, &format!("{path}.")))
            }
            Value::Table(_)
                if prefix == NAMESPACES
                    || Config::keys().any(|known| known.path.starts_with(&format!("{path}."))) => {}
            _ => paths.push(path),
        }
    }
    paths
}

/// A variable's key. Names without a double underscore are not ours: an orchestrator that runs a service called
/// `everyway` sets `EVERYWAY_PORT` and the like in every container.
fn env_path(name: &str) -> Option<String> {
    let rest = name.strip_prefix(ENV_PREFIX)?;
    rest.contains(ENV_DOT)
        .then(|| rest.to_ascii_lowercase().replace(ENV_DOT, "."))
}

/// A variable that is a key but for its underscores is a slip, and would be ignored without a word.
fn check_env_name(name: &str) -> Result<(), ConfigError> {
    let Some(rest) = name
        .strip_prefix(ENV_PREFIX)
        .filter(|rest| !rest.contains(ENV_DOT))
    else {
        return Ok(());
    };
    let flat = rest.to_ascii_lowercase();
    let meant = Config::keys().find(|key| {
        key.path.replace('.', "_") == flat || key.path.rsplit('.').next() == Some(flat.as_str())
    });
    match meant {
        None => Ok(()),
        Some(key) => {
            let right = key.path.replace('.', ENV_DOT).to_ascii_uppercase();
            let source = format!("environment variable {name}");
            Err(ConfigError::new(
                &source,
                format!("write {ENV_PREFIX}{right}"),
            ))
        }
    }
}

fn set(table: &mut Table, source: &str, path: &str, value: Value) -> Result<(), ConfigError> {
    check_path(source, path)?;
    let (sections, key) = path.rsplit_once('.').unwrap_or(("", path));
    let mut at = table;
    for section in sections.split('.').filter(|section| !section.is_empty()) {
        let inner = at
            .entry(section)
            .or_insert_with(|| Value::Table(Table::new()));
        at = inner
            .as_table_mut()
            .ok_or_else(|| ConfigError::new(source, format!("{section} is not a section")))?;
    }
    at.insert(key.to_owned(), value);
    // Read at once, so that a value that does not fit is blamed on its source.
    table_fits(source, path, table_with(path, at.get(key)))
}

/// A table with one value at a path.
fn table_with(path: &str, value: Option<&Value>) -> Table {
    let mut value = value.cloned();
    for part in path.rsplit('.') {
        let mut outer = Table::new();
        if let Some(inner) = value.take() {
            outer.insert(part.to_owned(), inner);
        }
        value = Some(Value::Table(outer));
    }
    match value {
        Some(Value::Table(table)) => table,
        _ => Table::new(),
    }
}

fn table_fits(source: &str, path: &str, table: Table) -> Result<(), ConfigError> {
    let fits = table.try_into::<Config>();
    fits.map(drop)
        .map_err(|error| ConfigError::new(source, format!("{path}: {}", first_line(&error))))
}

fn check_path(source: &str, path: &str) -> Result<(), ConfigError> {
    let path = &known_form(path);
    if Config::keys().any(|key| key.path == path) {
        return Ok(());
    }
    let hint = match nearest(path) {
        Some(near) => format!("did you mean {near}?"),
        None => "see docs/configuration.md for all keys".to_owned(),
    };
    Err(ConfigError::new(
        source,
        format!("there is no key {path}: {hint}"),
    ))
}

/// A path as the keys have it: what stands for the name of a namespace is [`NAME`] there.
fn known_form(path: &str) -> String {
    let namespaced = path.strip_prefix(NAMESPACES);
    match namespaced.and_then(|rest| rest.rsplit_once('.')) {
        Some((_, key)) => format!("{NAMESPACES}{NAME}.{key}"),
        None => path.to_owned(),
    }
}

/// The known key that is most like a path, or whose last part is the same.
fn nearest(path: &str) -> Option<&'static str> {
    const ALIKE: f64 = 0.7;
    let last = |path: &str| path.rsplit('.').next().map(str::to_owned);
    let similarity = |known: &str| {
        let parts = strsim::jaro_winkler(
            &last(known).unwrap_or_default(),
            &last(path).unwrap_or_default(),
        );
        strsim::jaro_winkler(known, path).max(parts)
    };
    let best = Config::keys()
        .map(|key| (similarity(key.path), key.path))
        .max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= ALIKE).then_some(best.1)
}

/// The first line of what TOML says; the rest draws the source text, which is not at hand for every source.
fn first_line(error: &toml::de::Error) -> String {
    error
        .message()
        .lines()
        .next()
        .unwrap_or("not valid")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_file(text: &str) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("everyway.toml");
        std::fs::write(&path, text).unwrap();
        load(Some(&path), std::iter::empty(), &[])
    }

    fn from_env(name: &str, value: &str) -> Result<Config, ConfigError> {
        load(None, [(name.to_owned(), value.to_owned())].into_iter(), &[])
    }

    #[test]
    fn the_defaults_are_valid_and_every_key_has_one() {
        Config::default().check().unwrap();
        for key in Config::keys() {
            assert!(default_of(key.path).is_some(), "{}", key.path);
            assert!(!key.doc.trim().is_empty(), "{}", key.path);
        }
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("everyway.toml");
        std::fs::write(
            &path,
            "[limits]\nchannels_max = 1\nmessage_bytes_max = 10\npage_messages = 5\n",
        )
        .unwrap();
        let env = [
            ("EVERYWAY_LIMITS__CHANNELS_MAX", "2"),
            ("EVERYWAY_LIMITS__MESSAGE_BYTES_MAX", "20"),
        ];
        let env = env
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = load(
            Some(&path),
            env,
            &[("limits.channels_max".to_owned(), Value::Integer(3))],
        )
        .unwrap();
        assert_eq!(config.limits.channels_max, 3);
        assert_eq!(config.limits.message_bytes_max, 20);
        assert_eq!(config.limits.page_messages, 5);
    }

    #[test]
    fn an_unknown_key_names_its_source_and_the_nearest_known_one() {
        let error = from_file("[limits]\nmesage_bytes_max = 1\n")
            .unwrap_err()
            .to_string();
        assert!(error.contains("everyway.toml"), "{error}");
        assert!(
            error.contains("did you mean limits.message_bytes_max?"),
            "{error}"
        );
        let error = from_env("EVERYWAY_LIMITS__PUBLSH", "1")
            .unwrap_err()
            .to_string();
        assert!(error.contains("EVERYWAY_LIMITS__PUBLSH"), "{error}");
        let error = from_file("listen = ['a']").unwrap_err().to_string();
        assert!(error.contains("server.listen"), "{error}");
    }

    #[test]
    fn a_value_that_does_not_fit_names_its_source() {
        let error = from_env("EVERYWAY_TIMEOUTS__HEAD_S", "soon")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("EVERYWAY_TIMEOUTS__HEAD_S") && error.contains("timeouts.head_s"),
            "{error}"
        );
        assert!(from_file("[timeouts]\nhead_s = -1\n").is_err());
        assert!(from_file("[limits]\nchannels_max = 0\n").is_err());
        assert!(from_file("[server]\ntransports = ['telegraph']\n").is_err());
    }

    #[test]
    fn lists_and_strings_need_no_quotes_in_the_environment() {
        let config = from_env("EVERYWAY_SERVER__LISTEN", "127.0.0.1:1, [::1]:2").unwrap();
        assert_eq!(config.server.listen, ["127.0.0.1:1", "[::1]:2"]);
        assert_eq!(
            from_env("EVERYWAY_LOG__FILTER", "debug")
                .unwrap()
                .log
                .filter,
            "debug"
        );
        let config = from_env("EVERYWAY_LIMITS__PUBLISH", "100/60s").unwrap();
        assert_eq!(config.limits.publish.to_string(), "100/60s");
        let config = from_env("EVERYWAY_SERVER__TRUSTED_PROXIES", "10.0.0.0/8, ::1").unwrap();
        assert_eq!(config.server.trusted_proxies.len(), 2);
        let config = from_env("EVERYWAY_AUTH__ANONYMOUS__SUBSCRIBE", "news,room:*").unwrap();
        assert_eq!(config.auth.anonymous.unwrap().subscribe, ["news", "room:*"]);
    }

    #[test]
    fn what_can_never_work_is_refused() {
        for text in [
            "[server]\nlisten = ['nonsense']",
            "[server]\norigins = ['example.com']",
            "[server]\norigins = ['https://a.example/']",
            "[server]\norigins = ['https://*.example']",
            "[server]\ntransports = ['sse', 'sse']",
            "[auth.anonymous]\nsubscribe = ['a*b']",
            "[auth.anonymous]\npublish = ['bad name']",
            "[auth]\nalgorithms = ['none']",
            "[auth]\nticket_s = 31",
            "[auth]\napi_keys = [{sha256 = 'ew_the_key_itself'}]",
            "[log]\nfilter = 'everyway=loud'",
            "[limits]\nqueued_bytes_max = 0",
            "[limits]\npublish = '100 per minute'",
            "[limits]\nrate_keys_max = 0",
            "[server]\ntrusted_proxies = ['localhost']",
            "[timeouts]\nheartbeat_s = 1",
        ] {
            assert!(from_file(text).is_err(), "{text}");
        }
        assert!(from_file("[auth.anonymous]\nsubscribe = ['*', 'room:*', 'news']").is_ok());
    }

    #[test]
    fn the_largest_message_is_16_mib_and_what_follows_from_it_is_checked() {
        let limits = |message: usize, channel: usize, total: usize| {
            from_file(&format!(
                "[limits]\nmessage_bytes_max = {message}\n[history]\nbytes_max = {channel}\nbytes_total_max = {total}\n"
            ))
        };
        const MIB: usize = 1 << 20;
        assert!(limits(16 * MIB, 16 * MIB, 96 * MIB + 4096).is_ok());
        for (message, channel, total, says) in [
            (16 * MIB + 1, 32 * MIB, 1 << 30, "at most 16777216"),
            (
                usize::MAX / 2,
                usize::MAX / 2,
                usize::MAX / 2,
                "at most 16777216",
            ),
            (16 * MIB, 16 * MIB - 1, 1 << 30, "history.bytes_max must be"),
            (
                16 * MIB,
                16 * MIB,
                96 * MIB + 4095,
                "history.bytes_total_max must be",
            ),
        ] {
            let error = limits(message, channel, total).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn what_comes_in_at_once_has_room_for_one_body_at_least() {
        let limits = |bytes: usize| {
            from_file(&format!(
                "[limits]\nmessage_bytes_max = 3000\nincoming_bytes_max = {bytes}\n"
            ))
        };
        assert!(limits(8096).is_ok());
        let error = limits(8095).unwrap_err().to_string();
        assert!(
            error.contains("limits.incoming_bytes_max must be at least 4/3"),
            "{error}"
        );
    }

    #[test]
    fn a_slip_in_a_variable_is_told() {
        for name in ["EVERYWAY_LIMITS_CHANNELS_MAX", "EVERYWAY_LISTEN"] {
            let error = from_env(name, "5").unwrap_err().to_string();
            assert!(error.contains("__"), "{error}");
        }
    }

    #[test]
    fn a_value_in_a_file_that_does_not_fit_names_its_line() {
        let error = from_file("[limits]\nchannels_max = 'many'\n")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("line 2") && error.contains("channels_max"),
            "{error}"
        );
    }

    #[test]
    fn namespaces_have_names_of_their_own() {
        let text = "[namespaces.room]\npresence = false\n[namespaces.\"a.b\"]\npublish = \"users\"\n[namespaces.c]\n";
        let config = from_file(text).unwrap();
        assert_eq!(config.namespaces["room"].presence, Some(false));
        assert_eq!(
            config.namespaces["a.b"].publish,
            crate::config::Whoever::Users
        );
        assert!(config.namespaces.contains_key("c"));
        let config = from_env("EVERYWAY_NAMESPACES__ROOM__SUBSCRIBE", "everyone").unwrap();
        assert_eq!(
            config.namespaces["room"].subscribe,
            crate::config::Whoever::Everyone
        );
        let error = from_file("[namespaces.room]\npresense = false\n").unwrap_err();
        assert!(
            error.to_string().contains("namespaces.NAME.presence"),
            "{error}"
        );
    }

    #[test]
    fn variables_of_others_are_left_alone() {
        assert!(from_env("EVERYWAY_PORT", "tcp://10.0.0.1:80").is_ok());
        assert!(from_env("EVERYWAY_SERVICE_HOST", "10.0.0.1").is_ok());
    }
}
