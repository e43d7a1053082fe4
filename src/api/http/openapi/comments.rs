//! The comments of the proto files, as descriptions.

use prost_reflect::{EnumDescriptor, FieldDescriptor, FileDescriptor, MessageDescriptor, MethodDescriptor};
use prost_reflect::{EnumValueDescriptor, ServiceDescriptor};

/// What has a comment in a proto file.
pub(super) trait Commented {
    /// The file, and the path of the declaration in it.
    fn place(&self) -> (FileDescriptor, &[i32]);

    /// The comment above the declaration, one line a paragraph. Empty if there is none.
    fn comment(&self) -> String {
        let (file, path) = self.place();
        let locations = file.file_descriptor_proto().source_code_info.as_ref().map(|info| &info.location);
        let location = locations.into_iter().flatten().find(|location| location.path == path);
        paragraphs(location.and_then(|location| location.leading_comments.as_deref()).unwrap_or_default())
    }
}

macro_rules! commented {
    ($($descriptor:ident),+) => {$(
        impl Commented for $descriptor {
            fn place(&self) -> (FileDescriptor, &[i32]) {
                (self.parent_file(), self.path())
            }
        }
    )+};
}

commented!(
    MessageDescriptor,
    FieldDescriptor,
    EnumDescriptor,
    EnumValueDescriptor,
    ServiceDescriptor,
    MethodDescriptor
);

/// Joins the lines of each paragraph.
fn paragraphs(comment: &str) -> String {
    let lines: Vec<_> = comment.trim().lines().map(str::trim).collect();
    let paragraphs = lines.split(|line| line.is_empty()).map(|lines| lines.join(" "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

/// The first sentence of a comment, without its full stop.
pub(super) fn first_sentence(comment: &str) -> &str {
    let first = comment.lines().next().unwrap_or_default();
    let end = first.find(". ").or_else(|| first.find(": "));
    first[..end.unwrap_or(first.len())].trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::json::messages;

    #[test]
    fn a_comment_is_that_of_the_proto_file() {
        let spec = messages().get_message_by_name("jobstream.v1.JobSpec").expect("JobSpec");
        assert_eq!(spec.comment(), "JobSpec describes a job to submit. Only `kind` is required.");
        let kind = spec.get_field_by_name("kind").expect("kind").comment();
        assert!(kind.starts_with("Which handler runs the job. Required;"), "{kind}");
    }

    #[test]
    fn lines_of_a_paragraph_are_joined() {
        assert_eq!(paragraphs(" One\n two.\n\n Three.\n"), "One two.\n\nThree.");
        assert_eq!(first_sentence("Cancels a job. At once."), "Cancels a job");
    }
}
