//! The same CA over HTTP, for measurements of whole processes: one connection after the other, kept alive.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use devid::asn1::pem;

use crate::crl::make_crl;
use crate::openssl::{Ca, Item, KeyType};
use crate::{Result, Settings};

/// Writes what clients need into `directory`, prints the port of each CA and serves until its input ends.
///
/// Files: `NAME.pem` for each certificate and key, `peer.der`, `crls.pem` for the lists of both CAs. Printed: `signature PORT` and `mac PORT`.
pub fn serve(settings: &Settings, directory: &str) -> Result<()> {
    let openssl = settings.server();
    let pki = openssl.make_pki(KeyType::P256)?;
    let items = [
        (Item::Root, "root", "CERTIFICATE"),
        (Item::Issuing, "issuing", "CERTIFICATE"),
        (Item::Supplier, "supplier", "CERTIFICATE"),
        (Item::Device, "device", "CERTIFICATE"),
        (Item::DeviceKey, "device-key", "PRIVATE KEY"),
        (Item::NewKey, "new-key", "PRIVATE KEY"),
    ];
    for (item, name, label) in items {
        let path = Path::new(directory).join(name).with_extension("pem");
        std::fs::write(path, pem::encode(label, pki.item(item)).as_bytes())?;
    }
    std::fs::write(Path::new(directory).join("peer.der"), pki.item(Item::Leaf))?;
    let mut lists = String::new();
    for (issuer, key) in [(Item::Issuing, Item::IssuingKey), (Item::Root, Item::RootKey)] {
        lists += &pem::encode("X509 CRL", &make_crl(&pki, issuer, key, 3)?);
    }
    std::fs::write(Path::new(directory).join("crls.pem"), lists)?;
    let listeners = [("signature", false), ("mac", true)].map(|(name, use_mac)| -> Result<_> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        println!("{name} {}", listener.local_addr()?.port());
        Ok((listener, openssl.make_ca(&pki, use_mac, false)?))
    });
    // libcrypto's server has no locks here: both CAs are served by turns, in one thread.
    let [signature, mac] = listeners;
    let listeners = [signature?, mac?];
    for (listener, _) in &listeners {
        listener.set_nonblocking(true)?;
    }
    std::thread::spawn(|| {
        // Whoever started this ends it by closing its input.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    loop {
        for (listener, ca) in &listeners {
            match listener.accept() {
                Ok((connection, _)) => {
                    connection.set_nonblocking(false)?;
                    if let Err(error) = answer(connection, ca) {
                        eprintln!("serve: {error}");
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        wait_for_connection(&listeners)?;
    }
}

fn wait_for_connection(listeners: &[(TcpListener, Ca); 2]) -> Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};
    let mut waiting = [PollFd::new(&listeners[0].0, PollFlags::IN), PollFd::new(&listeners[1].0, PollFlags::IN)];
    poll(&mut waiting, None)?;
    Ok(())
}

/// Requests on one connection until the client closes it.
fn answer(connection: TcpStream, ca: &Ca) -> Result<()> {
    connection.set_nodelay(true)?;
    let mut input = BufReader::new(connection.try_clone()?);
    let mut output = connection;
    loop {
        let mut len = 0;
        let mut keep_alive = true;
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        loop {
            line.clear();
            input.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => len = value.trim().parse()?,
                "connection" => keep_alive = value.trim().eq_ignore_ascii_case("keep-alive"),
                _ => {}
            }
        }
        let mut request = vec![0; len];
        input.read_exact(&mut request)?;
        let body = ca.answer(&request)?;
        let connection = if keep_alive { "keep-alive" } else { "close" };
        let mut message = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/pkixcmp\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        message.extend_from_slice(&body);
        output.write_all(&message)?;
        if !keep_alive {
            return Ok(());
        }
    }
}
