//! A payload by its kind: a path as a link if possible, JSON and XML as trees, HL7 as a table, everything else as text.

use leptos::prelude::*;

use crate::model::{
    error_text::visible,
    payload::{Content, Element, Json, Payload, Segment, parse},
};

/// Number of tree levels that are open at first; deeper ones open on a click.
const OPEN_LEVELS: usize = 3;

/// A payload.
#[component]
pub fn PayloadView(
    #[prop(into)] text: String,
    /// The address in a browser of the hospital for a payload that is an address. Without it the payload remains text,
    /// because its address is between servers.
    #[prop(optional_no_strip)]
    link: Option<String>,
) -> impl IntoView {
    match parse(&text) {
        Payload::Empty => view! { <p class="none pad">"The payload is empty."</p> }.into_any(),
        Payload::Path(_) | Payload::Url(_) => pointer(&text, link).into_any(),
        Payload::Json(json) => view! { <div class="tree">{json_node(None, &json, 0)}</div> }.into_any(),
        Payload::Xml(root) => view! { <div class="tree">{xml_node(&root, 0)}</div> }.into_any(),
        Payload::Hl7(segments) => hl7(&segments).into_any(),
        Payload::Text { text, note } => view! {
            {note.map(|note| view! { <p class="pad muted">{visible(&note)}</p> })}
            <pre class="machine" tabindex="0" role="region" aria-label="Text as it is stored">{visible(&text)}</pre>
        }
        .into_any(),
    }
}

/// The address in a payload. It leads out of the console, to a system with its own sign-in.
fn pointer(text: &str, href: Option<String>) -> impl IntoView + use<> {
    let text = visible(text.trim());
    let inner = match href {
        Some(href) => view! {
            <a href=href rel="noreferrer noopener" target="_blank">
                {text}
                <span class="unseen">" (opens in a new tab)"</span>
            </a>
        }
        .into_any(),
        None => text.into_any(),
    };
    view! { <pre class="machine" tabindex="0" role="region" aria-label="Content">{inner}</pre> }
}

fn json_node(name: Option<&str>, value: &Json, depth: usize) -> AnyView {
    let label = name.map(|name| view! { <span class="key">{visible(name)}</span> ": " });
    match value {
        Json::Array(items) if items.is_empty() => view! { <div class="leaf">{label} "[ ]"</div> }.into_any(),
        Json::Object(members) if members.is_empty() => view! { <div class="leaf">{label} "{ }"</div> }.into_any(),
        Json::Array(items) => {
            let children = items.iter().map(|item| json_node(None, item, depth + 1)).collect();
            branch(label, counted(items.len(), "item"), children, depth)
        }
        Json::Object(members) => {
            let children = members.iter().map(|(name, item)| json_node(Some(name), item, depth + 1)).collect();
            branch(label, counted(members.len(), "member"), children, depth)
        }
        Json::Null => view! { <div class="leaf">{label} <span class="literal">"null"</span></div> }.into_any(),
        Json::Bool(value) => {
            view! { <div class="leaf">{label} <span class="literal">{value.to_string()}</span></div> }.into_any()
        }
        Json::Number(number) => {
            view! { <div class="leaf">{label} <span class="literal">{visible(number)}</span></div> }.into_any()
        }
        Json::String(text) => {
            view! { <div class="leaf">{label} <span class="text">{format!("“{}”", visible(text))}</span></div> }
                .into_any()
        }
    }
}

fn branch<L: IntoView + 'static>(label: L, count: String, children: Vec<AnyView>, depth: usize) -> AnyView {
    view! {
        <details open=depth < OPEN_LEVELS>
            <summary>{label} <span class="muted">{count}</span></summary>
            {children}
        </details>
    }
    .into_any()
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

fn xml_node(element: &Element, depth: usize) -> AnyView {
    let head = view! {
        <span class="key">{visible(&element.name)}</span>
        {element
            .attributes
            .iter()
            .map(|(name, value)| {
                view! { <span class="attribute">" " {visible(name)} "=“" {visible(value)} "”"</span> }
            })
            .collect_view()}
    };
    match element.children.as_slice() {
        [] => view! { <div class="leaf">{head}</div> }.into_any(),
        [Content::Text(text)] => {
            view! { <div class="leaf">{head} ": " <span class="text">{visible(text)}</span></div> }.into_any()
        }
        children => {
            let nodes = children.iter().map(|child| xml_content(child, depth + 1)).collect_view();
            view! {
                <details open=depth < OPEN_LEVELS>
                    <summary>{head}</summary>
                    {nodes}
                </details>
            }
            .into_any()
        }
    }
}

fn xml_content(content: &Content, depth: usize) -> AnyView {
    match content {
        Content::Element(element) => xml_node(element, depth),
        Content::Text(text) => view! { <div class="leaf text">{visible(text)}</div> }.into_any(),
        Content::Comment(text) => view! { <div class="leaf muted">"Comment: " {visible(text)}</div> }.into_any(),
    }
}

/// Fields, numbered as in HL7: `PID-3.1`.
fn hl7(segments: &[Segment]) -> impl IntoView + use<> {
    let rows = segments
        .iter()
        .flat_map(|segment| {
            segment.fields.iter().map(|field| {
                let name = format!("{}-{}", segment.name, field.number);
                let value = field
                    .repetitions
                    .iter()
                    .map(|components| {
                        let parts = components.iter().map(|part| visible(part)).collect::<Vec<_>>().join(" ^ ");
                        view! { <div>{parts}</div> }
                    })
                    .collect_view();
                view! {
                    <tr>
                        <th scope="row">
                            <code>{visible(&name)}</code>
                        </th>
                        <td>{value}</td>
                    </tr>
                }
            })
        })
        .collect_view();
    view! {
        <table class="hl7">
            <caption class="unseen">"Fields of the HL7 message"</caption>
            <thead>
                <tr>
                    <th scope="col">"Field"</th>
                    <th scope="col">"Value"</th>
                </tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    }
}
