//! What a template can configure, told four ways: as JSON Schema, as pages, to a question, and as the names
//! themselves. All of it comes from the option structs.

pub mod common;
pub mod explain;
mod functions;
pub mod pages;
pub mod schema;

use bakehouse_api::{Field, Schema};

/// What a component is to a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Builder,
    Provisioner,
    PostProcessor,
    DataSource,
}

impl Role {
    pub const ALL: [Role; 4] = [Role::Builder, Role::Provisioner, Role::PostProcessor, Role::DataSource];

    pub fn word(self) -> &'static str {
        match self {
            Role::Builder => "builder",
            Role::Provisioner => "provisioner",
            Role::PostProcessor => "post-processor",
            Role::DataSource => "data-source",
        }
    }

    /// As a heading.
    fn title(self) -> &'static str {
        match self {
            Role::Builder => "Builders",
            Role::Provisioner => "Provisioners",
            Role::PostProcessor => "Post-processors",
            Role::DataSource => "Data sources",
        }
    }
}

/// A builder, provisioner, post-processor or data source and its options.
pub struct Component {
    pub role: Role,
    pub schema: Schema,
}

impl Component {
    /// "provisioner.shell"
    pub fn path(&self) -> String {
        format!("{}.{}", self.role.word(), self.schema.kind)
    }

    /// Its own options, then those that all of its role have.
    pub fn all_fields(&self) -> Vec<Field> {
        let own = self.schema.fields.iter().cloned();
        own.chain(common::fields(self.role)).collect()
    }
}

/// Everything that is built in, in the order it is listed to users.
pub fn components() -> Vec<Component> {
    let row = |role| move |schema: Schema| Component { role, schema };
    let builders = crate::registry::backends().into_iter().map(|backend| backend.schema());
    let provisioners = crate::provision::table().iter().map(|row| (row.schema)());
    let post_processors = crate::post::table().iter().map(|row| (row.schema)());
    let all = builders.map(row(Role::Builder));
    let all = all.chain(provisioners.map(row(Role::Provisioner)));
    let all = all.chain(post_processors.map(row(Role::PostProcessor)));
    let data_sources = crate::registry::data_sources().into_iter().map(|source| source.schema());
    all.chain(data_sources.map(row(Role::DataSource))).collect()
}

/// The options of the component of this path; none where there is no such component.
pub fn fields_of(path: &str) -> Vec<Field> {
    components().iter().find(|component| component.path() == path).map(Component::all_fields).unwrap_or_default()
}

/// A default as a template writes it.
fn default_text(field: &Field) -> Option<String> {
    field.default.as_ref().map(|default| match default {
        serde_json::Value::String(text) if !text.is_empty() => text.clone(),
        other => other.to_string(),
    })
}
