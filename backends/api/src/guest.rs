//! What a provisioner holds: the connection to a running machine, which may have to be made anew.

use std::sync::Arc;

use tokio::sync::RwLock;

use crate::{Communicator, Connector, Cx, Error, Facts, Kind, Result};

/// Wraps each new connection, so that a backend can serve bulk uploads by a faster way.
pub type Wrap = Arc<dyn Fn(Arc<dyn Communicator>) -> Arc<dyn Communicator> + Send + Sync>;

/// Cheap to clone; all clones share the connection.
#[derive(Clone)]
pub struct Guest {
    connector: Option<Arc<dyn Connector>>,
    current: Arc<RwLock<Option<Arc<dyn Communicator>>>>,
    wrap: Wrap,
    /// Everything `build.*` can say of this machine.
    pub facts: Arc<Facts>,
}

impl Guest {
    /// `connector` is none for `communicator = "none"`.
    pub fn new(connector: Option<Arc<dyn Connector>>, wrap: Option<Wrap>, facts: Facts) -> Self {
        let wrap = wrap.unwrap_or_else(|| Arc::new(|comm| comm));
        Self { connector, current: Arc::default(), wrap, facts: Arc::new(facts) }
    }

    pub fn has_communicator(&self) -> bool {
        self.connector.is_some()
    }

    /// The live connection; made now if there is none.
    pub async fn comm(&self, cx: &Cx) -> Result<Arc<dyn Communicator>> {
        if let Some(comm) = self.current.read().await.clone() {
            return Ok(comm);
        }
        self.connect(cx).await
    }

    /// Drops the connection and waits for a new one: the machine rebooted or the network hiccuped.
    pub async fn reconnect(&self, cx: &Cx) -> Result<Arc<dyn Communicator>> {
        self.close().await;
        self.connect(cx).await
    }

    /// After the last provisioner: lets the connector take away what only the build needed.
    /// A guest that nobody connected to is left alone.
    pub async fn finish(&self, cx: &Cx) -> Result<()> {
        match (&self.connector, self.current.read().await.clone()) {
            (Some(connector), Some(comm)) => connector.finish(cx, &*comm).await,
            _ => Ok(()),
        }
    }

    pub async fn close(&self) {
        if let Some(comm) = self.current.write().await.take() {
            comm.close().await;
        }
    }

    async fn connect(&self, cx: &Cx) -> Result<Arc<dyn Communicator>> {
        let Some(connector) = &self.connector else {
            return Err(Error::new(
                Kind::Config,
                "this step needs a communicator, and the builder has `communicator = \"none\"`",
            )
            .hint("set `communicator = \"ssh\"` on the source or drop the step"));
        };
        let mut current = self.current.write().await;
        if let Some(comm) = current.clone() {
            return Ok(comm);
        }
        let comm = (self.wrap)(connector.connect(cx).await?);
        *current = Some(comm.clone());
        Ok(comm)
    }
}
