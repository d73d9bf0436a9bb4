//! Pods of which all is said that their tests say, and a picker that has scraped it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use crate::running::Picker;

/// A pod of their tests.
#[derive(Clone, Debug)]
pub struct Pod {
    waiting: u32,
    kv_usage: f64,
    /// Its LoRA adapters that run.
    adapters: Vec<&'static str>,
}

/// A pod with so many waiting requests, this share of its KV cache in use, and these adapters.
pub fn pod(waiting: u32, kv_usage: f64, adapters: &[&'static str]) -> Pod {
    Pod { waiting, kv_usage, adapters: adapters.to_vec() }
}

impl Pod {
    /// What vLLM would say of it. As in their tests, no further adapter fits.
    fn page(&self) -> String {
        let Self { waiting, kv_usage, adapters } = self;
        let lora = if adapters.is_empty() {
            String::new()
        } else {
            let running = adapters.join(",");
            format!(
                "vllm:lora_requests_info{{max_lora=\"0\",running_lora_adapters=\"{running}\",waiting_lora_adapters=\"\"}} 1.0\n"
            )
        };
        format!(
            "vllm:num_requests_waiting{{model_name=\"m\"}} {waiting}\nvllm:num_requests_running{{model_name=\"m\"}} 0\n\
             vllm:kv_cache_usage_perc{{model_name=\"m\"}} {kv_usage}\n{lora}"
        )
    }

    /// Answers scrapes with it until the process ends.
    fn serve(self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let page = self.page();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (page, stream) = (page.clone(), stream.unwrap());
                thread::spawn(move || answer(stream, &page));
            }
        });
        address
    }
}

/// Answers every request of a connection with `page`.
fn answer(mut stream: TcpStream, page: &str) {
    let (mut asked, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        asked.extend_from_slice(&buffer[..read]);
        if asked.ends_with(b"\r\n\r\n") {
            asked.clear();
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length:";
            if write!(stream, "{head} {}\r\n\r\n{page}", page.len()).is_err() {
                return;
            }
        }
    }
}

/// A picker and its pods.
pub struct Pods {
    pub picker: Picker,
    addresses: Vec<SocketAddr>,
}

impl Pods {
    /// Starts all of it, and waits until the picker knows of each pod what it says.
    pub async fn start(routing: &str, pods: Vec<Pod>) -> Self {
        let addresses: Vec<_> = pods.into_iter().map(Pod::serve).collect();
        let mut endpoints = "endpoints:\n".to_owned();
        for (n, address) in addresses.iter().enumerate() {
            endpoints +=
                &format!("- {{name: pod-{n}, address: {}, port: {}}}\n", address.ip(), address.port());
        }
        if addresses.is_empty() {
            endpoints = "endpoints: []\n".to_owned();
        }
        let picker = Picker::serving(routing, &endpoints, &[]).await;
        let known = |page: &str| page.matches("waypost_picker_endpoint_waiting{").count();
        let reads_metrics = |page: &str| known(page) == addresses.len();
        picker.until("/metrics", reads_metrics).await;
        Self { picker, addresses }
    }

    /// The address of a pod, or one of nobody.
    pub fn address(&self, n: Option<usize>) -> String {
        n.map_or("192.168.1.99:8000".to_owned(), |n| self.addresses[n].to_string())
    }

    /// Which pod is at `address`.
    pub fn at(&self, address: &str) -> usize {
        self.addresses.iter().position(|other| other.to_string() == address).unwrap()
    }
}
