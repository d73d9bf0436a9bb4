//! The backend of a gateway: a pool, its picker and its model servers.

/// What a gateway routes to.
#[derive(Clone, Debug)]
pub struct Backend {
    /// The namespace of pool and picker.
    pub namespace: String,
    /// The Service of the picker, answering ext_proc on port 9002.
    pub picker: String,
    /// A headless Service over the pool's pods, for gateways that know the pods themselves.
    pub pods: String,
    /// The port of the model servers.
    pub port: u16,
}

impl Backend {
    /// The pool whose pods stand behind the headless Service `pods`, on port 8000, with the picker `picker`.
    pub fn new(namespace: &str, picker: &str, pods: &str) -> Self {
        Self { namespace: namespace.to_owned(), picker: picker.to_owned(), pods: pods.to_owned(), port: 8000 }
    }
}
