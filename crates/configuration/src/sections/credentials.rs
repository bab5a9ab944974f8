//! `[credentials.NAME]`: whom a connector logs in as, and where the secret is kept; never the secret itself.

use std::path::Path;

use toml_span::value::Value;

use crate::credential::{Credential, SecretSource};
use crate::problem::ProblemKind;
use crate::reading::fault::{Reading, refuse};
use crate::reading::gather::Places;
use crate::reading::section::Section;
use crate::reading::value::{path, string, text_up_to};

/// The keys that say where a secret is; exactly one of them is written.
const SOURCES: [&str; 4] = ["password_file", "password_env", "token_file", "token_command"];

/// Names under which people write the secret itself, which never stands in relay.toml.
const PLAIN_SECRETS: [&str; 5] = ["password", "secret", "token", "pass", "passwd"];

pub(crate) fn read(name: &str, mut section: Section<'_, '_>, folder: &Path) -> Option<(Credential, Places)> {
    let username = section.require("username", "\"relay@contoso.com\"", text_up_to(512));
    let file = section.get("password_file", path(folder)).map(SecretSource::PasswordFile);
    let variable = section.get("password_env", environment_variable).map(SecretSource::PasswordEnvironment);
    let token = section.get("token_file", path(folder)).map(SecretSource::TokenFile);
    section.check("token_command", text_up_to(4096));
    for key in PLAIN_SECRETS {
        if section.has(key) && section.raw(key).is_some() {
            let message =
                "a secret never stands in relay.toml; put it into a file and write password_file = \"...\"";
            section.error(key, ProblemKind::UnknownKey, message);
        }
    }
    let written: Vec<&str> = SOURCES.into_iter().filter(|key| section.has(key)).collect();
    let plain = PLAIN_SECRETS.iter().any(|key| section.has(key));
    match written.as_slice() {
        // Told above, with what to write.
        [] if plain => {}
        [] => {
            let message = "one of password_file, password_env, token_file must be given";
            section.error("", ProblemKind::Missing, message);
        }
        [_] => {}
        [first, others @ ..] => {
            for other in others {
                let message = format!("excludes {first}: a credential has one secret");
                section.contradiction(other, first, message);
            }
        }
    }
    let places = section.close();
    Some((Credential::new(name, username?, file.or(variable).or(token)?), places))
}

fn environment_variable(value: &Value<'_>) -> Reading<String> {
    let text = string(value, "the name of an environment variable")?;
    if text.is_empty() || text.contains(['=', '\0']) {
        let message = "must be the name of an environment variable, which is not empty and holds no '='";
        return refuse(value.span, ProblemKind::BadValue, message);
    }
    Ok(text.to_owned())
}
