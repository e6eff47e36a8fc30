//! How messages travel: HTTP (RFC 9811), files, and fetching of status data.
