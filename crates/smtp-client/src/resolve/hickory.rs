//! The name service by hickory, with the system's servers or given ones.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use crate::error::{BuildError, Cause};
use crate::resolve::answer::{Answer, BoxFuture, MxRecord, Resolve, Security};

/// Asks name servers by UDP, and by TCP where the answer is long; caches for as long as the records say.
///
/// DNSSEC is not validated yet: every answer is [`Security::Insecure`].
pub struct HickoryResolver(TokioResolver);

impl fmt::Debug for HickoryResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HickoryResolver").finish_non_exhaustive()
    }
}

impl HickoryResolver {
    /// The system's name servers.
    ///
    /// # Errors
    /// [`BuildError::Resolver`], where `resolv.conf` can't be read or names no server that can be used.
    pub fn system() -> Result<Self, BuildError> {
        let mut builder =
            TokioResolver::builder_tokio().map_err(|error| BuildError::Resolver(Cause::new(error)))?;
        set_options(builder.options_mut());
        builder.build().map(Self).map_err(|error| BuildError::Resolver(Cause::new(error)))
    }

    /// These name servers, each at its own port.
    ///
    /// # Errors
    /// [`BuildError::Resolver`].
    pub fn new(servers: &[SocketAddr]) -> Result<Self, BuildError> {
        let servers = servers.iter().map(|server| {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = server.port();
                connection
            });
            NameServerConfig::new(server.ip(), true, connections.to_vec())
        });
        let configuration = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
        let mut builder = TokioResolver::builder_with_config(configuration, TokioRuntimeProvider::default());
        set_options(builder.options_mut());
        builder.build().map(Self).map_err(|error| BuildError::Resolver(Cause::new(error)))
    }
}

fn set_options(options: &mut ResolverOpts) {
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
}

impl Resolve for HickoryResolver {
    fn mx<'a>(&'a self, domain: &'a str) -> BoxFuture<'a, Answer<MxRecord>> {
        Box::pin(async move {
            let Some(name) = absolute(domain) else { return Answer::NoSuchName };
            match self.0.mx_lookup(name).await {
                Ok(lookup) => records(lookup.answers().iter().filter_map(|record| match &record.data {
                    RData::MX(mx) => Some(MxRecord::new(mx.preference, relative(&mx.exchange))),
                    _ => None,
                })),
                Err(error) => self.nothing(&error).await,
            }
        })
    }

    fn addresses<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Answer<IpAddr>> {
        Box::pin(async move {
            let Some(name) = absolute(host) else { return Answer::NoSuchName };
            match self.0.lookup_ip(name.clone()).await {
                Ok(lookup) => records(lookup.iter()),
                Err(error) => match self.nothing(&error).await {
                    Answer::Failed(why) => Answer::Failed(why),
                    negative => self.doubt(name, negative).await,
                },
            }
        })
    }
}

impl HickoryResolver {
    /// A look-up of both families reports one of two errors. That there is no address holds only if neither family
    /// failed for another reason; both answers come from the cache.
    async fn doubt(&self, name: Name, negative: Answer<IpAddr>) -> Answer<IpAddr> {
        for failed in [self.0.ipv4_lookup(name.clone()).await.err(), self.0.ipv6_lookup(name).await.err()]
            .iter()
            .flatten()
        {
            if let Answer::Failed(why) = self.nothing::<IpAddr>(failed).await {
                return Answer::Failed(why);
            }
        }
        negative
    }

    /// What it means that there is no answer.
    ///
    /// hickory follows eight aliases, and says of a longer chain or a circle that there is nothing. The last name is an alias
    /// still then: what lies behind it nobody knows, and mail waits.
    async fn nothing<T>(&self, error: &NetError) -> Answer<T> {
        if error.is_nx_domain() {
            return Answer::NoSuchName;
        }
        let NetError::Dns(DnsError::NoRecordsFound(none)) = error else {
            return Answer::Failed(error.to_string());
        };
        let is_alias = |record: &Record| matches!(record.data, RData::CNAME(_));
        match self.0.lookup(none.query.name().clone(), RecordType::CNAME).await {
            Ok(found) if found.answers().iter().any(is_alias) => {
                Answer::Failed("its aliases go in a circle, or on for too long".to_owned())
            }
            _ => Answer::NoData,
        }
    }
}

fn records<T>(found: impl Iterator<Item = T>) -> Answer<T> {
    let records: Vec<T> = found.collect();
    if records.is_empty() { Answer::NoData } else { Answer::records(records, Security::Insecure) }
}

/// With its dot at the end, so that no search list is put behind it.
fn absolute(name: &str) -> Option<Name> {
    let mut name = Name::from_ascii(name).ok()?;
    name.set_fqdn(true);
    Some(name)
}

fn relative(name: &Name) -> String {
    let text = name.to_ascii();
    text.strip_suffix('.').map(str::to_owned).unwrap_or(text)
}
