//! Source rows into the form Salesforce takes.
