//! `relay hash-password`: from a password to the line for the credentials file.

use std::io::Read;

use crate::exit::Exit;

/// Longest password taken, in bytes; more is taken for a file that was piped in by mistake.
const LONGEST: u64 = 1024;

/// Reads standard input, one line; prints `"NAME" = "hash"` with NAME to be put in.
pub(crate) fn hash_password(scram: bool) -> Exit {
    let mut line = String::new();
    let read = std::io::stdin().take(LONGEST + 1).read_to_string(&mut line);
    let password = line.trim_end_matches(['\r', '\n']);
    if read.is_err()
        || password.is_empty()
        || password.contains(['\r', '\n', '\0'])
        || line.len() as u64 > LONGEST
    {
        eprintln!("relay: standard input must be one line of UTF-8, 1 to {LONGEST} bytes");
        return Exit::Data;
    }
    let hash = if scram { postroad_smtp_server::scram_verifier } else { postroad_smtp_server::hash_password };
    match hash(password.as_bytes()) {
        Ok(hash) => {
            println!("\"NAME\" = \"{hash}\"");
            Exit::Ok
        }
        Err(error) => {
            eprintln!("relay: {error}");
            Exit::Temporary
        }
    }
}
