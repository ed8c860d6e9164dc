//! What a description says about its virtual machines, to be shown.

use serde_json::{Map, Value};

use super::units::bytes_of;
use super::xml::Element;

/// What is said about each virtual machine.
pub(super) fn describe(root: &Element) -> Vec<Map<String, Value>> {
    let mut systems = Vec::new();
    collect(root, &mut systems);
    systems
}

/// Looks for virtual machines in `element`, collections of them included. Its depth is bounded by that of the document.
fn collect(element: &Element, systems: &mut Vec<Map<String, Value>>) {
    for child in &element.children {
        if child.is("VirtualSystem") {
            systems.push(system(child));
        } else if child.is("VirtualSystemCollection") {
            collect(child, systems);
        }
    }
}

/// What is said about one virtual machine.
fn system(element: &Element) -> Map<String, Value> {
    let mut facts = Map::new();
    let mut say = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            facts.insert(name.to_owned(), value);
        }
    };
    let text = |text: Option<&str>| text.map(Value::from);
    say("name", text(element.text_of("Name").or_else(|| element.attribute("id"))));
    if let Some(product) = element.path(&["ProductSection"]).next() {
        say("product", text(product.text_of("Product")));
        say("vendor", text(product.text_of("Vendor")));
        say("version", text(product.text_of("FullVersion").or_else(|| product.text_of("Version"))));
    }
    if let Some(os) = element.path(&["OperatingSystemSection"]).next() {
        say("operating-system", text(os.text_of("Description")));
        say("operating-system-id", os.number("id").ok().flatten().map(Value::from));
    }
    if let Some(hardware) = element.path(&["VirtualHardwareSection"]).next() {
        let family = hardware.children.iter().find(|child| child.name() == "System");
        say("hardware", text(family.and_then(|family| family.text_of("VirtualSystemType"))));
        let cpus = amount(hardware, PROCESSOR).and_then(|(amount, _)| amount.parse::<u64>().ok());
        say("cpus", cpus.map(Value::from));
        say(
            "memory-bytes",
            amount(hardware, MEMORY).and_then(|(amount, unit)| bytes_of(amount, unit)).map(Value::from),
        );
    }
    facts
}

/// How much there is of the first resource of a kind, and in what unit.
fn amount<'a>(hardware: &'a Element, kind: &str) -> Option<(&'a str, &'a str)> {
    let item = hardware.path(&["Item"]).find(|item| item.text_of("ResourceType") == Some(kind))?;
    Some((item.text_of("VirtualQuantity")?, item.text_of("AllocationUnits").unwrap_or("byte * 2^20")))
}

/// `ResourceType` of a processor. CIM_ResourceAllocationSettingData.
const PROCESSOR: &str = "3";
/// `ResourceType` of memory.
const MEMORY: &str = "4";
