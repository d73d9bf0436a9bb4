//! The test bed of most measurements: built programs, running model servers, and a folder for files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::Child;

use super::peers::Given;
use super::ports::{address, free};
use super::process::ending_with_us;
use super::processors::away_from_the_servers;
use super::programs::{self, Programs, YARDSTICK};
use super::server::Server;
use super::tls::{CERTIFICATE, Identity, KEY};
use super::{config, pages};
use e2e::load::Client;
use e2e::shell::run;
use e2e::tools::locate;
use e2e::{Progress, until};

/// Model servers, on consecutive ports from this one on.
const REPLICAS: usize = 8;
const PORT: u16 = 18_000;
const PATIENCE: Duration = Duration::from_secs(30);

/// Built programs, running model servers, and a folder for files.
pub struct TestBed {
    programs: Programs,
    yardstick: PathBuf,
    folder: tempfile::TempDir,
    identity: Option<Identity>,
    sim: Child,
}

impl TestBed {
    /// Builds the programs and starts the model servers; they end when the value is dropped. The servers under test
    /// speak TLS if `tls`.
    ///
    /// # Errors
    /// When a compiler is missing or fails, or the model servers do not come up.
    pub async fn start(tls: bool, progress: &Progress) -> Result<Self> {
        let programs = Programs::built(progress).await?;
        let yardstick = programs::yardstick(progress).await?;
        away_from_the_servers()?;
        let folder = tempfile::tempdir()?;
        let identity = tls.then(|| Identity::made(folder.path())).transpose()?;
        let sim = model_servers(&programs.sim, &config::endpoints_in(folder.path())).await?;
        Ok(Self { programs, yardstick, folder, identity, sim })
    }

    /// From now on the model servers run when the client has nothing to do. They share its processor, and the scrapes
    /// that they answer would make it send late. A client that always has something to do would starve them.
    ///
    /// # Errors
    /// When `chrt` is missing or fails.
    pub async fn client_goes_first(&self) -> Result<()> {
        let sim = self.sim.id().context("a running process has a number")?;
        let args = ["--idle", "--all-tasks", "--pid", "0", &sim.to_string()];
        run(locate::program("chrt")?)
            .args(args)
            .done()
            .await
            .context("putting the model servers after the client")
    }

    /// Starts a picker with this configuration. There is one of each name.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn picker(&self, name: &str, config: &str) -> Result<Server> {
        self.unready(name, &self.programs.picker, config, &[])?.ready().await
    }

    /// Starts a picker that was given, with the whole configuration.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn given(&self, given: &Given) -> Result<Server> {
        let config = config::whole(config::QUEUE);
        self.unready(&given.name, &given.program, &config, &given.flags)?.listens().await
    }

    fn unready(&self, name: &str, program: &Path, config: &str, flags: &[String]) -> Result<Server> {
        let file = self.configure(name, config)?;
        let folder = || self.folder.path().display().to_string();
        let tls = self.identity.iter().flat_map(|_| ["--cert-path".to_owned(), folder()]);
        let flags: Vec<String> = tls.chain(flags.iter().cloned()).collect();
        Ok(Server::picker(name, program, &file, &flags)?.with_identity(self.identity.clone()))
    }

    /// Gives the picker of this name another configuration, all of it at once.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn configure(&self, name: &str, config: &str) -> Result<PathBuf> {
        let file = self.folder.path().join(format!("{name}.yaml"));
        config::write(&file, config, &config::endpoints_in(self.folder.path()))?;
        Ok(file)
    }

    /// Starts the yardstick.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn yardstick(&self) -> Result<Server> {
        let [port] = free()?;
        let mut args = vec!["-listen".to_owned(), address(port)];
        if self.identity.is_some() {
            let file = |name| self.folder.path().join(name).display().to_string();
            args.extend(["-cert".to_owned(), file(CERTIFICATE), "-key".to_owned(), file(KEY)]);
        }
        let log = self.folder.path().join("yardstick.log");
        let server = Server::start(YARDSTICK, address(port), &self.yardstick, &args, log)?;
        server.with_identity(self.identity.clone()).listens().await
    }
}

async fn model_servers(program: &Path, endpoints: &Path) -> Result<Child> {
    let mut sim = ending_with_us(program)?
        .args(["serve", "--bind", "127.0.0.1", "--port", &PORT.to_string()])
        .args(["--replicas", &REPLICAS.to_string(), "--metrics-padding", &pages::BYTES.to_string()])
        .arg("--write-endpoints")
        .arg(endpoints)
        .spawn()
        .context("starting the model servers")?;
    until("the model servers", PATIENCE, || {
        let ended = sim.try_wait();
        async move {
            let ended = ended?;
            ensure!(ended.is_none(), "they ended ({ended:?}): is another one on port {PORT} and the next?");
            ensure!(endpoints.exists(), "they have not said where they are");
            Client::new().get(&format!("http://127.0.0.1:{PORT}/health")).await.map(drop)
        }
    })
    .await?;
    Ok(sim)
}
