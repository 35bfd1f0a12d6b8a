//! The functions and routes of `template.yaml`, with the default values of its parameters.

use std::{collections::BTreeMap, fs, path::Path};

use yaml_serde::{Mapping, Value};

/// A function that the template defines.
#[derive(Clone, Debug, PartialEq)]
pub struct DeployedFunction {
    /// The name of its binary.
    pub binary: String,
    /// The time after which Lambda ends an invocation, in seconds.
    pub timeout_s: u64,
    /// The largest number of environments that run at the same time.
    pub environments: usize,
    /// Its routes as the keys of API Gateway, such as `POST /callLog`.
    pub routes: Vec<String>,
    /// It runs once a minute.
    pub is_scheduled: bool,
}

/// The rates of requests that a route accepts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Throttle {
    /// Requests per second.
    pub rate: f64,
    /// The size of a burst.
    pub burst: f64,
}

/// The parts of the template that an emulator needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    pub functions: Vec<DeployedFunction>,
    /// The rates of the routes that have their own.
    pub throttles: BTreeMap<String, Throttle>,
    /// The rates of all other routes.
    pub default_throttle: Throttle,
}

impl Template {
    /// Reads `template.yaml`.
    ///
    /// # Panics
    ///
    /// If the template lacks something, or describes a route in a way that this emulator does not know.
    pub fn read() -> Template {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
        let text = fs::read_to_string(&path).expect("the template is a file");
        Template::parse(&text)
    }

    /// Reads the text of a template.
    ///
    /// # Panics
    ///
    /// As [`Template::read`] does.
    pub fn parse(text: &str) -> Template {
        let document: Value = yaml_serde::from_str(text).expect("the template is YAML");
        let parameters = &document["Parameters"];
        let globals = &document["Globals"]["Function"];
        let number = |value: &Value| number(parameters, value);
        let mut functions = Vec::new();
        for resource in mapping(&document["Resources"]).values() {
            if resource["Type"] != "AWS::Serverless::Function" {
                continue;
            }
            let properties = &resource["Properties"];
            let setting = |name: &str| {
                let own = &properties[name];
                number(if own.is_null() { &globals[name] } else { own })
            };
            let events: Vec<_> = mapping(&properties["Events"]).values().collect();
            functions.push(DeployedFunction {
                binary: text_of(&resource["Metadata"]["BuildProperties"]["Binary"]),
                timeout_s: setting("Timeout") as u64,
                environments: setting("ReservedConcurrentExecutions") as usize,
                routes: events
                    .iter()
                    .filter(|event| event["Type"] == "HttpApi")
                    .map(|it| route(it))
                    .collect(),
                is_scheduled: events.iter().any(|event| event["Type"] == "Schedule"),
            });
        }
        let api = &document["Resources"]["Api"]["Properties"];
        let throttle = |settings: &Value| Throttle {
            rate: number(&settings["ThrottlingRateLimit"]),
            burst: number(&settings["ThrottlingBurstLimit"]),
        };
        let throttles = mapping(&api["RouteSettings"]).iter();
        Template {
            functions,
            throttles: throttles.map(|(route, settings)| (text_of(route), throttle(settings))).collect(),
            default_throttle: throttle(&api["DefaultRouteSettings"]),
        }
    }
}

/// Returns the key of a route.
fn route(event: &Value) -> String {
    let properties = &event["Properties"];
    assert_eq!(properties["PayloadFormatVersion"], "2.0", "{event:?}");
    format!("{} {}", text_of(&properties["Method"]), text_of(&properties["Path"]))
}

/// Returns a number, the default value of the parameter that `!Ref` names, or the value that `!If` has if its condition holds.
fn number(parameters: &Value, value: &Value) -> f64 {
    match value {
        Value::Number(number) => number.as_f64().expect("a number"),
        Value::Tagged(tagged) if tagged.tag == "Ref" => {
            number(parameters, &parameters[text_of(&tagged.value).as_str()]["Default"])
        }
        Value::Tagged(tagged) if tagged.tag == "If" => number(parameters, &tagged.value[1]),
        other => panic!("{other:?} is not a number of the template"),
    }
}

fn mapping(value: &Value) -> &Mapping {
    value.as_mapping().unwrap_or_else(|| panic!("{value:?} is not a mapping of the template"))
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value:?} is not a text of the template")).to_owned()
}
