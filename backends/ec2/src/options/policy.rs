//! A policy, by the names that AWS gives its parts.
#![allow(non_snake_case)] // they are options as they stand in a template

use bakehouse_api::options;

options! {
    /// A statement of a policy.
    pub struct Statement {
        /// Its name.
        Sid: Option<String>,
        /// `Allow` or `Deny`.
        Effect: String = "Allow".into(),
        /// `ec2:DescribeImages`, ...
        Action: Vec<String>,
        /// ARNs.
        Resource: Vec<String>,
    }
}

options! {
    /// A policy for the instance, of a role made for this build.
    pub struct PolicyDocument {
        /// Version of the policy language.
        Version: String = "2012-10-17".into(),
        /// What is allowed.
        Statement: Vec<Statement>,
    }
}
