//! Why a call failed. The same for both WASIs, whose own numbers differ.
use std::fmt;

/// What a call returns.
pub type Result<T> = std::result::Result<T, Error>;

macro_rules! errors {
    ($($name:ident = $number:literal, $symbol:literal, $kind:ident;)*) => {
        /// Why a call failed, by the name that errno(3) has for it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Error {
            $(#[doc = $symbol] $name,)*
            /// Another one, by its number in WASI 0.1.
            Other(u16),
        }

        impl Error {
            /// From the number that a call of WASI 0.1 returned.
            pub const fn from_wasi(number: u16) -> Self {
                match number { $($number => Self::$name,)* other => Self::Other(other) }
            }

            /// The symbol, as `EAGAIN`.
            pub const fn symbol(self) -> &'static str {
                match self { $(Self::$name => $symbol,)* Self::Other(_) => "another error" }
            }

            const fn kind(self) -> std::io::ErrorKind {
                match self { $(Self::$name => std::io::ErrorKind::$kind,)* Self::Other(_) => std::io::ErrorKind::Other }
            }
        }
    };
}

// numbers of `$errno` in preview 1's typenames.witx
errors! {
    Access = 2, "EACCES", PermissionDenied;
    Again = 6, "EAGAIN", WouldBlock;
    BadDescriptor = 8, "EBADF", InvalidInput;
    Busy = 10, "EBUSY", ResourceBusy;
    NoChild = 12, "ECHILD", NotFound;
    Exist = 20, "EEXIST", AlreadyExists;
    OutOfRange = 21, "EFAULT", InvalidInput;
    Interrupted = 27, "EINTR", Interrupted;
    Invalid = 28, "EINVAL", InvalidInput;
    TooManyOpen = 33, "EMFILE", Other;
    MessageSize = 35, "EMSGSIZE", InvalidInput;
    NameTooLong = 37, "ENAMETOOLONG", InvalidInput;
    NoEntry = 44, "ENOENT", NotFound;
    OutOfMemory = 48, "ENOMEM", OutOfMemory;
    NoSpace = 51, "ENOSPC", StorageFull;
    NotSupported = 58, "ENOTSUP", Unsupported;
    Overflow = 61, "EOVERFLOW", Other;
    NotPermitted = 63, "EPERM", PermissionDenied;
    NoProcess = 71, "ESRCH", NotFound;
    TimedOut = 73, "ETIMEDOUT", TimedOut;
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(number) => write!(f, "error {number}"),
            known => f.write_str(known.symbol()),
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error)
    }
}
