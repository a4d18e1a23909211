//! What the host says, in our words: `std::io::Error` to [`Errno`], and the names that a host may not be given. The same on every
//! host OS, so that a pod that runs on Linux does not trip over Windows.

use std::io::{Error, ErrorKind};

use crate::{Errno, Result};

/// The errno for an error of the host's file system.
pub(crate) fn errno(error: Error) -> Errno {
    if cfg!(target_os = "linux")
        && let Some(code) = error.raw_os_error()
    {
        let known = Errno::ALL.iter().find(|errno| i32::from(errno.number()) == code);
        return known.copied().unwrap_or(Errno::Io);
    }
    match error.kind() {
        ErrorKind::NotFound => Errno::NoEnt,
        // cap-std says so, without a number, of a path that would lead out
        ErrorKind::PermissionDenied if error.raw_os_error().is_none() => Errno::Perm,
        ErrorKind::PermissionDenied => Errno::Acces,
        ErrorKind::AlreadyExists => Errno::Exist,
        ErrorKind::NotADirectory => Errno::NotDir,
        ErrorKind::IsADirectory => Errno::IsDir,
        ErrorKind::DirectoryNotEmpty => Errno::NotEmpty,
        ErrorKind::ReadOnlyFilesystem => Errno::RoFs,
        ErrorKind::StorageFull => Errno::NoSpc,
        ErrorKind::QuotaExceeded => Errno::Dquot,
        ErrorKind::FileTooLarge => Errno::FBig,
        ErrorKind::CrossesDevices => Errno::XDev,
        ErrorKind::TooManyLinks => Errno::MLink,
        ErrorKind::InvalidFilename => Errno::NameTooLong,
        ErrorKind::InvalidInput => Errno::Inval,
        ErrorKind::ResourceBusy | ErrorKind::ExecutableFileBusy => Errno::Busy,
        ErrorKind::NotSeekable => Errno::SPipe,
        ErrorKind::Interrupted => Errno::Intr,
        ErrorKind::WouldBlock => Errno::Again,
        ErrorKind::OutOfMemory => Errno::NoMem,
        ErrorKind::Unsupported => Errno::OpNotSupp,
        _ => Errno::Io,
    }
}

/// Refuses the names that mean a device on Windows, with any extension (CVE-2024-51745), on every host; and on Windows what its
/// file systems read as something else: streams, separators, trailing dots and spaces.
///
/// # Errors
/// [`Errno::Acces`].
pub(crate) fn refuse_name(name: &str) -> Result<()> {
    let stem = name.split(['.', ':']).next().unwrap_or(name).trim_end().to_ascii_uppercase();
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix).is_some_and(|rest| {
            let mut digits = rest.chars();
            matches!((digits.next(), digits.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
        })
    };
    let device = matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$");
    let windows = cfg!(windows)
        && (name.ends_with(['.', ' '])
            || name.contains(['\\', ':', '*', '?', '"', '<', '>', '|'])
            || name.contains(char::is_control));
    if device || numbered("COM") || numbered("LPT") || windows { Err(Errno::Acces) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_names_are_refused_on_every_host() {
        for bad in ["CON", "con", "nul.txt", "Com1", "lpt9.tar.gz", "AUX ", "com¹", "CONOUT$"] {
            assert_eq!(refuse_name(bad), Err(Errno::Acces), "{bad}");
        }
        for good in ["console", "COM", "COM10", "null", "a.con", "nulls.txt", "lpt"] {
            assert_eq!(refuse_name(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn errors_of_the_host_keep_their_meaning() {
        assert_eq!(errno(Error::from(ErrorKind::NotFound)), Errno::NoEnt);
        assert_eq!(errno(Error::new(ErrorKind::PermissionDenied, "a path led outside of the filesystem")), Errno::Perm);
        assert_eq!(errno(Error::from(ErrorKind::DirectoryNotEmpty)), Errno::NotEmpty);
        #[cfg(target_os = "linux")]
        assert_eq!(errno(Error::from_raw_os_error(18)), Errno::XDev);
    }
}
