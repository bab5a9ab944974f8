//! Verifies logons against credentials files, which may change at any time.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use argon2::Block;
use postroad_smtp_protocol::sasl::{ScramVerifier, Secret};

use crate::admission::OnceAMinute;
use crate::client::Client;
use crate::credentials::{Credentials, CredentialsError};
use crate::logon_queue::{Leave, LogonQueue};
use crate::receive_connector::ReceiveConnector;
use crate::source::Source;
use crate::submit::BoxFuture;
use crate::verify::{PasswordVerdict, Verify};

/// Passwords that are hashed at once, each on a processor and in 19 MiB; others wait.
const AT_ONCE: usize = 4;
/// How long: a client that waited longer is told 454, and may come back.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Verifies against each receive connector's `credentials_file`, and reads a file again when it has changed.
///
/// It offers PLAIN and LOGIN, and SCRAM-SHA-256 where the file [serves](Credentials::serves_scram) it: as the file was when
/// somebody last logged on.
#[derive(Debug)]
pub struct FileVerifier {
    files: HashMap<String, Arc<CachedFile>>,
    queue: Arc<LogonQueue>,
    told: Mutex<OnceAMinute>,
    /// The memory of hashes that are done, for the next: an allocator that is asked for 19 MiB by ever other threads keeps
    /// a gigabyte of them, and anybody may fail to log on.
    memory: Arc<Mutex<Vec<Vec<Block>>>>,
}

#[derive(Debug)]
struct CachedFile {
    path: PathBuf,
    cached: Mutex<Option<(Stamp, Arc<Credentials>)>>,
    told: Mutex<OnceAMinute>,
}

type Stamp = (Option<SystemTime>, u64);

impl FileVerifier {
    /// Reads the file of each connector that names one, which blocks.
    ///
    /// # Errors
    ///
    /// The first file that cannot be read or used.
    pub fn new<'a>(
        connectors: impl IntoIterator<Item = &'a ReceiveConnector>,
    ) -> Result<Self, CredentialsError> {
        let mut files = HashMap::new();
        for connector in connectors {
            if let Some(path) = &connector.credentials_file {
                let file =
                    CachedFile { path: path.clone(), cached: Mutex::default(), told: Mutex::default() };
                file.current()?;
                files.insert(connector.name.clone(), Arc::new(file));
            }
        }
        Ok(Self { files, queue: LogonQueue::new(AT_ONCE), told: Mutex::default(), memory: Arc::default() })
    }

    /// Leave to hash a password; `None` where too many others wait for the same.
    async fn leave(&self, source: Source) -> Option<Leave> {
        match tokio::time::timeout(LONGEST_WAIT, self.queue.leave(source)).await {
            Ok(leave) => leave,
            Err(_) => {
                if self.told.lock().unwrap_or_else(PoisonError::into_inner).is_due() {
                    tracing::warn!(
                        "too many logons at once: those that waited their time are told to come back"
                    );
                }
                None
            }
        }
    }
}

impl CachedFile {
    fn current(&self) -> Result<Arc<Credentials>, CredentialsError> {
        let unreadable = |error: std::io::Error| CredentialsError::Unreadable {
            path: self.path.clone(),
            kind: error.kind(),
        };
        let metadata = std::fs::metadata(&self.path).map_err(unreadable)?;
        let stamp = (metadata.modified().ok(), metadata.len());
        if let Some((read, credentials)) = &*self.cached()
            && *read == stamp
        {
            return Ok(Arc::clone(credentials));
        }
        // Without the lock, which sessions take to say what is offered: a slow disk must not hold them up.
        let credentials = Arc::new(Credentials::read(&self.path)?);
        *self.cached() = Some((stamp, Arc::clone(&credentials)));
        Ok(credentials)
    }

    fn cached(&self) -> MutexGuard<'_, Option<(Stamp, Arc<Credentials>)>> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, and whoever runs the server is told why not: once a minute, for anybody may ask for a logon again and again.
    fn current_or_told(&self) -> Option<Arc<Credentials>> {
        let current = self.current();
        if let Err(error) = &current
            && self.told.lock().unwrap_or_else(PoisonError::into_inner).is_due()
        {
            tracing::error!(path = %self.path.display(), %error, "logons cannot be verified");
        }
        current.ok()
    }

    /// As it was read last.
    fn serves_scram(&self) -> bool {
        self.cached().as_ref().is_some_and(|(_, credentials)| credentials.serves_scram())
    }
}

impl Verify for FileVerifier {
    fn verify<'a>(
        &'a self,
        client: &'a Client,
        username: &'a str,
        password: Secret,
    ) -> BoxFuture<'a, PasswordVerdict> {
        Box::pin(async move {
            let Some(file) = self.files.get(&client.connector).map(Arc::clone) else {
                return PasswordVerdict::Rejected;
            };
            let source = Source::from(client.peer.ip());
            let (Some(leave), Some(key)) = (self.leave(source).await, lasting_key()) else {
                return PasswordVerdict::Unavailable;
            };
            let username = username.to_owned();
            let (spare, queue) = (Arc::clone(&self.memory), Arc::clone(&self.queue));
            let verified = tokio::task::spawn_blocking(move || {
                let _leave = leave;
                let Some(credentials) = file.current_or_told() else { return PasswordVerdict::Unavailable };
                let locked = || spare.lock().unwrap_or_else(PoisonError::into_inner);
                let mut memory = locked().pop().unwrap_or_default();
                let verified = credentials.verify_within(&username, &password, &key, &mut memory);
                locked().push(memory);
                if verified != PasswordVerdict::Unavailable {
                    queue.ended(source, verified == PasswordVerdict::Accepted);
                }
                verified
            });
            verified.await.unwrap_or(PasswordVerdict::Unavailable)
        })
    }

    fn mechanisms(&self, client: &Client) -> Vec<String> {
        let scram = self.files.get(&client.connector).is_some_and(|file| file.serves_scram());
        let names = if scram { &["SCRAM-SHA-256", "PLAIN", "LOGIN"][..] } else { &["PLAIN", "LOGIN"] };
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn is_known(&self, client: &Client, username: &str) -> bool {
        let Some(file) = self.files.get(&client.connector) else { return false };
        file.cached().as_ref().is_some_and(|(_, credentials)| credentials.has(username))
    }

    fn scram<'a>(&'a self, client: &'a Client, username: &'a str) -> BoxFuture<'a, Option<ScramVerifier>> {
        Box::pin(async move {
            let (file, username, key) =
                (Arc::clone(self.files.get(&client.connector)?), username.to_owned(), lasting_key()?);
            let found = tokio::task::spawn_blocking(move || file.current_or_told()?.scram(&username, &key));
            found.await.ok().flatten()
        })
    }
}

/// A secret that lasts as long as the process, across changed configurations: names that do not exist have the same salt as
/// long.
fn lasting_key() -> Option<Secret> {
    static KEY: OnceLock<Secret> = OnceLock::new();
    if let Some(key) = KEY.get() {
        return Some(key.clone());
    }
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).ok()?;
    Some(KEY.get_or_init(|| Secret::new(bytes)).clone())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::credentials::{hash_password, scram_verifier};

    fn verifier(path: &Path) -> (FileVerifier, Client) {
        let mut connector = ReceiveConnector::new("Applications");
        connector.credentials_file = Some(path.to_owned());
        let address = "127.0.0.1:1".parse().unwrap();
        (FileVerifier::new([&connector]).unwrap(), Client::new("Applications", address, address))
    }

    #[tokio::test]
    async fn logons_share_the_memory_of_those_before_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.toml");
        std::fs::write(&path, format!("jane = \"{}\"\n", hash_password(b"secret").unwrap())).unwrap();
        let (verifier, client) = verifier(&path);
        for password in ["wrong", "secret", "worse", "secret"] {
            let expected =
                if password == "secret" { PasswordVerdict::Accepted } else { PasswordVerdict::Rejected };
            assert_eq!(verifier.verify(&client, "jane", Secret::new(password)).await, expected);
        }
        let spare = verifier.memory.lock().unwrap();
        assert_eq!(spare.iter().map(Vec::len).collect::<Vec<_>>(), [19456]);
    }

    #[tokio::test]
    async fn a_changed_file_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.toml");
        let line =
            |name: &str, password: &[u8]| format!("{name} = \"{}\"\n", hash_password(password).unwrap());
        std::fs::write(&path, line("jane", b"old")).unwrap();
        let (verifier, client) = verifier(&path);
        let try_one =
            async |name: &str, password: &str| verifier.verify(&client, name, Secret::new(password)).await;
        assert_eq!(try_one("jane", "old").await, PasswordVerdict::Accepted);
        std::fs::write(&path, line("jane", b"new") + &line("joe", b"x")).unwrap();
        assert_eq!(try_one("jane", "old").await, PasswordVerdict::Rejected);
        assert_eq!(try_one("jane", "new").await, PasswordVerdict::Accepted);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(try_one("jane", "new").await, PasswordVerdict::Unavailable);
        let stranger = Client::new("Other", client.peer, client.local);
        assert_eq!(verifier.verify(&stranger, "jane", Secret::new("new")).await, PasswordVerdict::Rejected);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_told_once_however_many_ask() {
        let folder = tempfile::tempdir().unwrap();
        let (path, log) = (folder.path().join("users.toml"), folder.path().join("log"));
        std::fs::write(&path, format!("jane = \"{}\"\n", hash_password(b"secret").unwrap())).unwrap();
        let (verifier, client) = verifier(&path);
        std::fs::remove_file(&path).unwrap();
        let lines = tracing_subscriber::fmt().with_writer(std::fs::File::create(&log).unwrap()).finish();
        let _guard = tracing::subscriber::set_default(lines);
        let file = &verifier.files[&client.connector];
        assert!((0..3).all(|_| file.current_or_told().is_none()));
        let told = std::fs::read_to_string(&log).unwrap();
        assert_eq!(told.matches("logons cannot be verified").count(), 1, "{told}");
    }

    #[tokio::test]
    async fn what_is_offered_follows_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.toml");
        let scram = format!("jane = \"{}\"\n", scram_verifier(b"secret").unwrap());
        std::fs::write(&path, &scram).unwrap();
        let (verifier, client) = verifier(&path);
        assert_eq!(verifier.mechanisms(&client), ["SCRAM-SHA-256", "PLAIN", "LOGIN"]);
        assert!(verifier.scram(&client, "jane").await.is_some());
        let nobody = verifier.scram(&client, "nobody").await;
        assert!(nobody.is_some() && nobody == verifier.scram(&client, "nobody").await);
        let mixed = format!("{scram}joe = \"{}\"\n", hash_password(b"secret").unwrap());
        std::fs::write(&path, mixed).unwrap();
        assert_eq!(verifier.scram(&client, "jane").await, None);
        assert_eq!(verifier.mechanisms(&client), ["PLAIN", "LOGIN"]);
        assert_eq!(verifier.verify(&client, "jane", Secret::new("secret")).await, PasswordVerdict::Accepted);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_offered_does_not_wait_for_the_disk() {
        use std::io::Write;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.toml");
        let line = format!("jane = \"{}\"\n", scram_verifier(b"secret").unwrap());
        std::fs::write(&path, &line).unwrap();
        let (verifier, client) = verifier(&path);
        std::fs::remove_file(&path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let file = Arc::clone(&verifier.files[&client.connector]);
        let reading = std::thread::spawn(move || file.current().is_ok());
        // Opens as soon as the other side does: from here on the file is being read.
        let mut slow = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        assert!(verifier.files[&client.connector].cached.try_lock().is_ok());
        slow.write_all(line.as_bytes()).unwrap();
        drop(slow);
        assert!(reading.join().unwrap());
    }

    #[tokio::test]
    async fn a_source_that_failed_does_not_keep_another_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.toml");
        std::fs::write(&path, format!("jane = \"{}\"\n", scram_verifier(b"secret").unwrap())).unwrap();
        let (verifier, client) = verifier(&path);
        let mut guesser = client.clone();
        guesser.peer = "127.0.0.2:1".parse().unwrap();
        let guessed = verifier.verify(&guesser, "jane", Secret::new("wrong")).await;
        assert_eq!(guessed, PasswordVerdict::Rejected);
        let mut busy = Vec::new();
        for _ in 0..AT_ONCE {
            busy.push(verifier.queue.leave(client.peer.ip().into()).await);
        }
        let order = Mutex::new(Vec::new());
        let try_one = async |client: &Client, password: &str| {
            let verified = verifier.verify(client, "jane", Secret::new(password)).await;
            order.lock().unwrap().push(verified);
        };
        let free_one = async { drop(busy.pop()) };
        tokio::join!(
            try_one(&guesser, "worse"),
            try_one(&guesser, "worst"),
            try_one(&client, "secret"),
            free_one
        );
        use PasswordVerdict::{Accepted, Rejected};
        assert_eq!(*order.lock().unwrap(), [Accepted, Rejected, Rejected]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_logon_waits_for_others_so_long_and_no_longer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.toml");
        std::fs::write(&path, format!("jane = \"{}\"\n", scram_verifier(b"secret").unwrap())).unwrap();
        let (verifier, client) = verifier(&path);
        let mut busy = Vec::new();
        for _ in 0..AT_ONCE {
            busy.push(verifier.queue.leave(client.peer.ip().into()).await);
        }
        let waited = verifier.verify(&client, "jane", Secret::new("secret")).await;
        assert_eq!(waited, PasswordVerdict::Unavailable);
        drop(busy);
        assert_eq!(verifier.verify(&client, "jane", Secret::new("secret")).await, PasswordVerdict::Accepted);
    }
}
