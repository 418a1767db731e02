//! Property: error and close codes are one closed table, and docs/protocol.md shows it.

use std::collections::BTreeSet;

use throng_wire::ws::CloseCode;
use throng_wire::{ErrorCode, Fault, SessionClose};

#[test]
fn every_error_code_is_found_by_its_text() {
    for code in ErrorCode::ALL {
        assert_eq!(ErrorCode::parse(code.text()), Some(*code));
        assert_eq!(code.error().message, code.message());
    }
    assert_eq!(ErrorCode::parse("nonsense"), None);
}

#[test]
fn what_is_the_servers_fault_can_be_tried_again() {
    for code in ErrorCode::ALL {
        assert!(code.is_retryable() || code.fault() == Fault::Client, "{code:?}");
    }
}

#[test]
fn every_close_code_may_travel_and_is_found_by_its_number() {
    let numbers: BTreeSet<u16> = SessionClose::ALL.iter().map(|code| code.number()).collect();
    assert_eq!(numbers.len(), SessionClose::ALL.len());
    for code in SessionClose::ALL {
        assert!(CloseCode::new(code.number()).is_some());
        assert_eq!(SessionClose::parse(code.number().into()), Some(*code));
        assert!(code.reason().len() <= 123, "RFC 6455 section 5.5");
    }
    assert_eq!(SessionClose::parse(4006), None);
}

#[test]
fn clients_come_back_by_the_range_of_the_code() {
    assert!(SessionClose::TokenExpired.asks_to_reconnect());
    assert!(!SessionClose::ProtocolError.asks_to_reconnect());
}
