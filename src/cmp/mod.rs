//! The Certificate Management Protocol (RFC 9810, RFC 9483): messages, protection and the operation's state machine. No I/O, no clock, no randomness of its own.
