//! `[frontend]`: the proxies through which connectors with `frontend_proxy_enabled` leave.

use postroad_connector::FrontEndProxy;

use crate::reading::section::Section;
use crate::reading::value::{distinct, parsed};

pub(crate) fn read(mut section: Section<'_, '_>) -> Vec<FrontEndProxy> {
    let mut proxies = Vec::new();
    section.set(&mut proxies, "proxies", distinct(parsed("a front-end proxy")));
    section.close();
    proxies
}
