//! As whom a piped program runs.

use rustix::process::geteuid;

/// The text is no user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a user is a name of /etc/passwd, or uid:gid, and not root")]
pub struct InvalidUser;

/// Whether it can be a user: whether there is one of that name is asked when it is needed.
///
/// # Errors
///
/// It is neither a name nor `uid:gid`, or it is root.
pub fn check_user(text: &str) -> Result<(), InvalidUser> {
    let is_name = !text.is_empty()
        && text != "root"
        && !text.starts_with('-')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-$".contains(&byte));
    if is_name || User::numbers(text).is_some_and(|user| user.uid != 0) { Ok(()) } else { Err(InvalidUser) }
}

/// Why a program cannot run as it is asked for: this machine's fault or its configuration's, so that mail waits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoSuchUser {
    /// Nobody is named, and whoever is not named is root here.
    #[error("a program is never run as root; name another user")]
    Root,
    /// The text is no user.
    #[error(transparent)]
    Invalid(#[from] InvalidUser),
    /// `/etc/passwd` does not list it.
    #[error("/etc/passwd has no user {0:?}")]
    Unknown(String),
    /// Nobody can tell.
    #[error("/etc/passwd cannot be read: {0}")]
    Unreadable(String),
}

/// Whether this process, as it stands, would run a program for a connector with this `user`. Reads `/etc/passwd`.
///
/// # Errors
///
/// It would not, for this reason.
pub fn check_user_here(user: Option<&str>) -> Result<(), NoSuchUser> {
    User::here(user).map(drop)
}

/// A user and its first group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl User {
    /// Who is named, or `None` where nobody is and we are not root. Reads a file.
    pub(super) fn here(user: Option<&str>) -> Result<Option<Self>, NoSuchUser> {
        match user {
            None if geteuid().is_root() => Err(NoSuchUser::Root),
            None => Ok(None),
            Some(text) => Self::find(text).map(Some),
        }
    }

    fn find(text: &str) -> Result<Self, NoSuchUser> {
        check_user(text)?;
        if let Some(user) = Self::numbers(text) {
            return Ok(user);
        }
        let passwd = std::fs::read_to_string("/etc/passwd")
            .map_err(|error| NoSuchUser::Unreadable(error.to_string()))?;
        let user = Self::listed(&passwd, text).ok_or_else(|| NoSuchUser::Unknown(text.to_owned()))?;
        if user.uid == 0 { Err(NoSuchUser::Root) } else { Ok(user) }
    }

    fn numbers(text: &str) -> Option<Self> {
        let (uid, gid) = text.split_once(':')?;
        Some(Self { uid: uid.parse().ok()?, gid: gid.parse().ok()? })
    }

    /// `name:password:uid:gid:...`, as passwd(5) has it.
    fn listed(passwd: &str, name: &str) -> Option<Self> {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let is_it = fields.next() == Some(name);
            let (uid, gid) = (fields.nth(1)?, fields.next()?);
            is_it.then_some(Self { uid: uid.parse().ok()?, gid: gid.parse().ok()? })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_a_name_or_two_numbers_and_never_root() {
        for good in ["fax", "_fax", "www-data", "1000:100"] {
            assert_eq!(check_user(good), Ok(()), "{good}");
        }
        for bad in ["", "root", "0:0", "0:100", "-fax", "a b", "1000:", "a:b", "1:2:3"] {
            assert_eq!(check_user(bad), Err(InvalidUser), "{bad:?}");
        }
        let passwd = "root:x:0:0::/root:/bin/sh\nbroken\nfax:x:201:202::/:/bin/false\n";
        assert_eq!(User::listed(passwd, "fax"), Some(User { uid: 201, gid: 202 }));
        assert_eq!(User::listed(passwd, "fa"), None);
    }
}
