//! As whom a piped program runs.

use std::io;

/// The text is no user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a user is a name of /etc/passwd, or uid:gid, and not root")]
pub struct InvalidUser;

/// Whether it can be a user: whether there is one of that name is asked when it is needed.
pub fn check_user(text: &str) -> Result<(), InvalidUser> {
    let is_name = !text.is_empty()
        && text != "root"
        && !text.starts_with('-')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-$".contains(&byte));
    if is_name || User::numbers(text).is_some_and(|user| user.uid != 0) { Ok(()) } else { Err(InvalidUser) }
}

/// A user and its first group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl User {
    pub(super) async fn find(text: &str) -> Result<Self, String> {
        check_user(text).map_err(|error| error.to_string())?;
        if let Some(user) = Self::numbers(text) {
            return Ok(user);
        }
        let read = tokio::task::spawn_blocking(|| std::fs::read_to_string("/etc/passwd")).await;
        let passwd = read
            .unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
            .map_err(|error| format!("/etc/passwd cannot be read: {error}"))?;
        let user = Self::listed(&passwd, text).ok_or_else(|| format!("/etc/passwd has no user {text:?}"))?;
        if user.uid == 0 { Err(InvalidUser.to_string()) } else { Ok(user) }
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
