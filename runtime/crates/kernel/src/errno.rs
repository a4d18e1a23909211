//! The error of every simulated system call, with Linux' names, numbers and texts (`errno(3)`, asm-generic/errno.h). Owns no
//! mapping to WASI: the `wasi` crate has one table per version.

/// What a system call returns.
pub type Result<T, E = Errno> = std::result::Result<T, E>;

macro_rules! errnos {
    ($($name:ident = $number:literal, $symbol:literal, $text:literal;)*) => {
        /// Why a system call failed. The discriminant is Linux' number.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
        #[repr(u16)]
        pub enum Errno {
            $(#[doc = concat!($symbol, ": ", $text)] #[error($text)] $name = $number,)*
        }

        impl Errno {
            /// Every errno, in numeric order.
            pub const ALL: &'static [Errno] = &[$(Errno::$name),*];

            /// The symbol as C programs know it, e.g. `ENOENT`.
            pub const fn symbol(self) -> &'static str {
                match self { $(Errno::$name => $symbol,)* }
            }

            /// Linux' number, e.g. 2 for ENOENT.
            pub const fn number(self) -> u16 {
                self as u16
            }
        }
    };
}

errnos! {
    Perm = 1, "EPERM", "Operation not permitted";
    NoEnt = 2, "ENOENT", "No such file or directory";
    Srch = 3, "ESRCH", "No such process";
    Intr = 4, "EINTR", "Interrupted system call";
    Io = 5, "EIO", "Input/output error";
    Nxio = 6, "ENXIO", "No such device or address";
    TooBig = 7, "E2BIG", "Argument list too long";
    NoExec = 8, "ENOEXEC", "Exec format error";
    BadF = 9, "EBADF", "Bad file descriptor";
    Child = 10, "ECHILD", "No child processes";
    Again = 11, "EAGAIN", "Resource temporarily unavailable";
    NoMem = 12, "ENOMEM", "Cannot allocate memory";
    Acces = 13, "EACCES", "Permission denied";
    Fault = 14, "EFAULT", "Bad address";
    Busy = 16, "EBUSY", "Device or resource busy";
    Exist = 17, "EEXIST", "File exists";
    XDev = 18, "EXDEV", "Invalid cross-device link";
    NoDev = 19, "ENODEV", "No such device";
    NotDir = 20, "ENOTDIR", "Not a directory";
    IsDir = 21, "EISDIR", "Is a directory";
    Inval = 22, "EINVAL", "Invalid argument";
    NFile = 23, "ENFILE", "Too many open files in system";
    MFile = 24, "EMFILE", "Too many open files";
    NotTy = 25, "ENOTTY", "Inappropriate ioctl for device";
    TxtBsy = 26, "ETXTBSY", "Text file busy";
    FBig = 27, "EFBIG", "File too large";
    NoSpc = 28, "ENOSPC", "No space left on device";
    SPipe = 29, "ESPIPE", "Illegal seek";
    RoFs = 30, "EROFS", "Read-only file system";
    MLink = 31, "EMLINK", "Too many links";
    Pipe = 32, "EPIPE", "Broken pipe";
    Dom = 33, "EDOM", "Numerical argument out of domain";
    Range = 34, "ERANGE", "Numerical result out of range";
    Deadlk = 35, "EDEADLK", "Resource deadlock avoided";
    NameTooLong = 36, "ENAMETOOLONG", "File name too long";
    NoLck = 37, "ENOLCK", "No locks available";
    NoSys = 38, "ENOSYS", "Function not implemented";
    NotEmpty = 39, "ENOTEMPTY", "Directory not empty";
    Loop = 40, "ELOOP", "Too many levels of symbolic links";
    Overflow = 75, "EOVERFLOW", "Value too large for defined data type";
    IlSeq = 84, "EILSEQ", "Invalid or incomplete multibyte or wide character";
    NotSock = 88, "ENOTSOCK", "Socket operation on non-socket";
    DestAddrReq = 89, "EDESTADDRREQ", "Destination address required";
    MsgSize = 90, "EMSGSIZE", "Message too long";
    Prototype = 91, "EPROTOTYPE", "Protocol wrong type for socket";
    NoProtoOpt = 92, "ENOPROTOOPT", "Protocol not available";
    ProtoNoSupport = 93, "EPROTONOSUPPORT", "Protocol not supported";
    OpNotSupp = 95, "EOPNOTSUPP", "Operation not supported";
    AfNoSupport = 97, "EAFNOSUPPORT", "Address family not supported by protocol";
    AddrInUse = 98, "EADDRINUSE", "Address already in use";
    AddrNotAvail = 99, "EADDRNOTAVAIL", "Cannot assign requested address";
    NetDown = 100, "ENETDOWN", "Network is down";
    NetUnreach = 101, "ENETUNREACH", "Network is unreachable";
    ConnAborted = 103, "ECONNABORTED", "Software caused connection abort";
    ConnReset = 104, "ECONNRESET", "Connection reset by peer";
    NoBufs = 105, "ENOBUFS", "No buffer space available";
    IsConn = 106, "EISCONN", "Transport endpoint is already connected";
    NotConn = 107, "ENOTCONN", "Transport endpoint is not connected";
    TimedOut = 110, "ETIMEDOUT", "Connection timed out";
    ConnRefused = 111, "ECONNREFUSED", "Connection refused";
    HostUnreach = 113, "EHOSTUNREACH", "No route to host";
    Already = 114, "EALREADY", "Operation already in progress";
    InProgress = 115, "EINPROGRESS", "Operation now in progress";
    Stale = 116, "ESTALE", "Stale file handle";
    Dquot = 122, "EDQUOT", "Disk quota exceeded";
    Canceled = 125, "ECANCELED", "Operation canceled";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_and_symbols_are_those_of_c() {
        assert!(Errno::ALL.windows(2).all(|pair| pair[0].number() < pair[1].number()));
        assert_eq!((Errno::AddrInUse.number(), Errno::AddrInUse.symbol()), (98, "EADDRINUSE"));
        assert_eq!(Errno::NoEnt.to_string(), "No such file or directory");
    }
}
