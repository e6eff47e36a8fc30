//! The way of fetched documents: proxy and HTTPS as for a CMP server, limits, and an end from another thread.

use super::prelude::*;
#[cfg(feature = "http")]
use devid_core::transport::fetch::fetch_once_over;

/// Lets a fetcher go to servers as a client of these settings does: through their proxy with its login, to HTTPS servers by their
/// TLS settings. Without it there is no proxy, and "https" URLs are refused.
///
/// @param config   Copied; its server, timeouts and credential do not matter. NULL: as without this call. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for a proxy that cannot be used; DEVID_E_UNSUPPORTED if the HTTP client is not built
///         in.
#[export]
fn devid_fetcher_set_network(fetcher: &mut devid_fetcher, config: Option<&devid_config>) -> Result<(), Error> {
    #[cfg(feature = "http")]
    {
        fetcher.network = config.map(|settings| settings.config.http_config()).transpose()?.unwrap_or_default();
        Ok(())
    }
    #[cfg(not(feature = "http"))]
    {
        let _ = (fetcher, config);
        Err(Error::new(Code::Unsupported, "the HTTP client is not built in"))
    }
}

/// Gives a fetcher a switch by which its blocking calls end with DEVID_E_CANCELLED, or with the finding that documents could not be
/// had.
///
/// @param cancel   NULL: none. May be NULL.
#[export]
fn devid_fetcher_set_cancel(fetcher: &mut devid_fetcher, cancel: Option<&devid_cancel>) -> Result<(), Error> {
    fetcher.fetcher.options_mut().exchange.cancel = cancel.cloned();
    Ok(())
}

/// Gives a renewal a switch by which devid_renewal_run() ends soon with DEVID_E_CANCELLED, in exchanges and waits. What is under way
/// stays in device memory and is continued by a later run; like every attempt that came to nothing it is waited out first.
///
/// @param cancel   NULL: none. May be NULL.
#[export]
fn devid_renewal_set_cancel(renewal: &mut devid_renewal, cancel: Option<&devid_cancel>) -> Result<(), Error> {
    renewal.config.exchange_limits.cancel = cancel.cloned();
    Ok(())
}

/// devid_fetch() by a way of the program's choice: the settings' proxy, TLS and timeouts (15 s to connect, 60 s of silence, 120 s in
/// all, unless they say otherwise). Blocks.
///
/// @param config        NULL: as devid_fetch(). May be NULL.
/// @param cancel        Ends it from another thread with DEVID_E_CANCELLED. NULL: nothing does. May be NULL.
/// @param url           "http://..."; "https://..." with TLS anchors in the settings. Not NULL.
/// @param request       An OCSP request to POST; NULL: GET. May be NULL.
/// @param max_len       Largest document accepted, in bytes; 0 means 4 MiB.
/// @param out_document  Receives the bytes; free with devid_bytes_free(). Not NULL.
/// @return As devid_fetch(); DEVID_E_CANCELLED.
#[export]
fn devid_fetch_over(
    config: Option<&devid_config>,
    cancel: Option<&devid_cancel>,
    url: &str,
    request: Option<&[u8]>,
    max_len: usize,
) -> Result<devid_bytes, Error> {
    #[cfg(feature = "http")]
    {
        let network = config.map(|settings| settings.config.http_config()).transpose()?;
        let mut limits = config.map(|settings| settings.config.exchange_limits.clone()).unwrap_or_default();
        limits.cancel = cancel.cloned();
        limits.max_reply_bytes = match max_len {
            0 => devid_core::transport::ExchangeLimits::default().max_reply_bytes,
            other => other,
        };
        let document = fetch_once_over(network.unwrap_or_default(), url, request, &limits)?;
        Ok(devid_bytes::from_slice(&document))
    }
    #[cfg(not(feature = "http"))]
    {
        let _ = (config, cancel, url, request, max_len);
        Err(Error::new(Code::Unsupported, "the HTTP client is not built in"))
    }
}
