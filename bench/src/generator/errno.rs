//! Which [`Cause`] an error of the kernel is: it depends on what was under way.

use std::io;

use rustix::io::Errno;

use super::Cause;

/// A connection's failure and its detail.
pub(super) type Failure = (Cause, u32);

/// `connect` could not even be submitted: socket, bind or the ring's table. `table_full`: every
/// slot of the table was in use, which has the same error number as a host without descriptors.
pub(super) fn of_start(error: &io::Error, table_full: bool) -> Failure {
    match Errno::from_io_error(error) {
        Some(Errno::NFILE) if table_full => (Cause::TableFull, 0),
        Some(Errno::MFILE | Errno::NFILE) => (Cause::Descriptors, 0),
        Some(Errno::ADDRNOTAVAIL | Errno::ACCESS | Errno::INVAL | Errno::AFNOSUPPORT) => {
            (Cause::SourceAddress, 0)
        }
        other => of_any(other, Cause::Refused),
    }
}

/// The TCP handshake failed.
pub(super) fn of_connect(error: &io::Error) -> Failure {
    match Errno::from_io_error(error) {
        Some(Errno::TIMEDOUT) => (Cause::ConnectTimeout, 0),
        other => of_any(other, Cause::ResetInHandshake),
    }
}

/// The connection broke before the upgrade was answered.
pub(super) fn of_upgrade(error: &io::Error) -> Failure {
    match Errno::from_io_error(error) {
        Some(Errno::TIMEDOUT) => (Cause::UpgradeTimeout, 0),
        other => of_any(other, Cause::ResetInHandshake),
    }
}

/// The connection broke after that.
pub(super) fn of_open(error: &io::Error) -> Failure {
    match Errno::from_io_error(error) {
        Some(Errno::TIMEDOUT) => (Cause::PeerTimeout, 0),
        other => of_any(other, Cause::Reset),
    }
}

fn of_any(errno: Option<Errno>, reset: Cause) -> Failure {
    let cause = match errno {
        Some(Errno::ADDRNOTAVAIL | Errno::ADDRINUSE) => Cause::PortsExhausted,
        Some(Errno::CONNREFUSED) => Cause::Refused,
        Some(Errno::CONNRESET | Errno::PIPE | Errno::CONNABORTED) => reset,
        Some(
            Errno::HOSTUNREACH
            | Errno::NETUNREACH
            | Errno::PERM
            | Errno::ACCESS
            | Errno::NETDOWN
            | Errno::HOSTDOWN,
        ) => Cause::Unreachable,
        Some(Errno::NOMEM | Errno::NOBUFS) => Cause::NoMemory,
        Some(Errno::MFILE | Errno::NFILE) => Cause::Descriptors,
        other => {
            let detail = other.map_or(0, |errno| errno.raw_os_error().unsigned_abs());
            return (Cause::Generator, detail);
        }
    };
    (cause, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(errno: Errno) -> io::Error {
        io::Error::from(errno)
    }

    #[test]
    fn a_full_table_is_told_from_a_host_without_descriptors() {
        assert_eq!(of_start(&error(Errno::NFILE), true).0, Cause::TableFull);
        assert_eq!(of_start(&error(Errno::NFILE), false).0, Cause::Descriptors);
        assert_eq!(of_start(&error(Errno::MFILE), true).0, Cause::Descriptors);
    }

    #[test]
    fn an_address_that_is_not_ours_is_told_from_ports_that_are_used_up() {
        assert_eq!(of_start(&error(Errno::ADDRNOTAVAIL), false).0, Cause::SourceAddress);
        assert_eq!(of_connect(&error(Errno::ADDRNOTAVAIL)).0, Cause::PortsExhausted);
    }

    #[test]
    fn the_same_error_has_the_cause_of_its_phase() {
        let reset = error(Errno::CONNRESET);
        assert_eq!(of_connect(&reset).0, Cause::ResetInHandshake);
        assert_eq!(of_upgrade(&reset).0, Cause::ResetInHandshake);
        assert_eq!(of_open(&reset).0, Cause::Reset);
        let late = error(Errno::TIMEDOUT);
        assert_eq!(of_connect(&late).0, Cause::ConnectTimeout);
        assert_eq!(of_upgrade(&late).0, Cause::UpgradeTimeout);
        assert_eq!(of_open(&late).0, Cause::PeerTimeout);
    }

    #[test]
    fn the_network_and_the_host_have_causes_of_their_own() {
        assert_eq!(of_connect(&error(Errno::CONNREFUSED)).0, Cause::Refused);
        assert_eq!(of_connect(&error(Errno::NETUNREACH)).0, Cause::Unreachable);
        assert_eq!(of_connect(&error(Errno::PERM)).0, Cause::Unreachable);
        assert_eq!(of_start(&error(Errno::NOBUFS), false).0, Cause::NoMemory);
    }

    #[test]
    fn an_error_that_is_in_no_line_keeps_its_number() {
        assert_eq!(of_open(&error(Errno::BADMSG)), (Cause::Generator, 74));
    }
}
