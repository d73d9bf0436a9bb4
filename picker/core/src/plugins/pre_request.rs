//! Plugins that act before a request is sent, and do nothing else.

room! {
    disagg_headers::DisaggHeadersHandler,
    pd_header_handler::PdHeaderHandler,
}
