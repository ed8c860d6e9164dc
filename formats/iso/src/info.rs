//! What is said about a disc.

use imgfmt_core::Description;
use serde_json::{Map, Value, json};

use crate::NAME;
use crate::boot::Catalog;
use crate::disc::Framing;
use crate::hybrid::Hybrid;
use crate::layout::SECTOR_LEN;
use crate::scan::Scan;
use crate::susp::SystemUse;
use crate::udf::Udf;
use crate::volume::Volume;

/// All that was found on a disc.
#[derive(Clone, Debug)]
pub(crate) struct Contents {
    /// How sectors lie in the file.
    pub(crate) framing: Framing,
    /// Bytes of the disc.
    pub(crate) len: u64,
    /// What the descriptors say.
    pub(crate) scan: Scan,
    /// What the descriptors of UDF say.
    pub(crate) udf: Option<Udf>,
    /// What extends the directories.
    pub(crate) system_use: SystemUse,
    /// The boot catalog, if there is one; nothing within, if it cannot be read.
    pub(crate) catalog: Option<Option<Catalog>>,
    /// Partition tables.
    pub(crate) hybrid: Hybrid,
    /// What is missing of a disc that is only described.
    pub(crate) truncated: Option<String>,
}

impl Contents {
    /// Says what there is to be said.
    pub(crate) fn describe(&self) -> Description {
        Description {
            format: NAME,
            subformat: Some(self.subformat().to_owned()),
            features: self.features(),
            creator: self.creator(),
            details: self.details(),
            ..Description::default()
        }
    }

    /// The primary volume.
    fn volume(&self) -> Option<&Volume> {
        self.scan.primary.as_ref().map(|(volume, _)| volume)
    }

    /// Which kind of disc it is.
    fn subformat(&self) -> &'static str {
        match (self.volume(), self.scan.nsr) {
            (Some(volume), _) if volume.high_sierra => "high-sierra",
            (Some(_), Some(_)) => "udf-bridge",
            (Some(_), None) => "iso9660",
            (None, _) => "udf",
        }
    }

    /// What the disc makes use of.
    fn features(&self) -> Vec<String> {
        let mut features = Vec::new();
        features.extend(self.scan.joliet.is_some().then(|| "joliet".to_owned()));
        features.extend(self.system_use.rock_ridge.then(|| "rock-ridge".to_owned()));
        features.extend(self.scan.enhanced.then(|| "iso9660-1999".to_owned()));
        features.extend(self.scan.nsr.is_some().then(|| "udf".to_owned()));
        features.extend(self.catalog.is_some().then(|| "el-torito".to_owned()));
        features.extend(self.hybrid.names().map(|table| format!("hybrid-{table}")));
        features.extend((self.framing != Framing::Plain).then(|| "whole-sectors".to_owned()));
        features
    }

    /// The program that made it.
    fn creator(&self) -> Option<String> {
        let volume = self.volume();
        let names = [
            volume.map(|volume| volume.preparer.clone()),
            volume.map(|volume| volume.application.clone()),
            self.udf.as_ref().map(|udf| udf.implementation.clone()),
        ];
        names.into_iter().flatten().find(|name| !name.is_empty())
    }

    /// Everything else.
    fn details(&self) -> Map<String, Value> {
        let mut map = Map::new();
        let sector_len = match self.framing {
            Framing::Plain => SECTOR_LEN,
            Framing::Whole(len) => len,
        };
        map.insert("sector-length".into(), json!(sector_len));
        map.extend(self.volume().map(|volume| ("volume".into(), volume_json(volume))));
        let joliet = self.scan.joliet.as_ref();
        map.extend(joliet.map(|(level, name)| ("joliet".into(), json!({ "level": level, "volume-id": name }))));
        if !self.system_use.extensions.is_empty() {
            map.insert("extensions".into(), json!(self.system_use.extensions));
        }
        map.extend(self.scan.nsr.map(|edition| ("udf".into(), udf_json(edition, self.udf.as_ref()))));
        map.extend(self.catalog.as_ref().map(|catalog| ("boot-catalog".into(), catalog_json(catalog.as_ref()))));
        if !self.hybrid.mbr.is_empty() {
            map.insert("mbr".into(), self.hybrid.mbr_json(self.len));
        }
        if self.volume().is_some() && !self.scan.terminated {
            map.insert("unterminated".into(), json!(true));
        }
        map.extend(self.truncated.as_ref().map(|what| ("truncated".into(), json!(what))));
        map
    }
}

/// What there is to say of a volume; what is empty is left out.
fn volume_json(volume: &Volume) -> Value {
    let mut map = Map::new();
    let texts = [
        ("id", Some(&volume.identifier)),
        ("system-id", Some(&volume.system)),
        ("set-id", Some(&volume.set)),
        ("publisher", Some(&volume.publisher)),
        ("preparer", Some(&volume.preparer)),
        ("application", Some(&volume.application)),
        ("created", volume.created.as_ref()),
        ("modified", volume.modified.as_ref()),
    ];
    for (name, text) in texts {
        map.extend(text.filter(|text| !text.is_empty()).map(|text| (name.to_owned(), json!(text))));
    }
    map.insert("block-size".into(), json!(volume.block_size));
    map.insert("space-size".into(), json!(volume.space_size));
    map.insert("length".into(), json!(volume.len()));
    map.extend(volume.other_space_size.map(|other| ("space-size-big-endian".into(), json!(other))));
    map.insert("set-size".into(), json!(volume.set_size));
    map.insert("sequence-number".into(), json!(volume.sequence));
    Value::Object(map)
}

/// What there is to say of UDF.
fn udf_json(edition: u8, udf: Option<&Udf>) -> Value {
    let mut map = Map::new();
    map.insert("recognition".into(), json!(format!("NSR0{edition}")));
    let Some(udf) = udf else {
        map.insert("unreadable".into(), json!(true));
        return Value::Object(map);
    };
    map.insert("block-size".into(), json!(udf.block_size));
    map.extend(udf.revision.map(|bcd| ("revision".into(), json!(format!("{:x}.{:02x}", bcd >> 8, bcd & 0xff)))));
    let texts = [
        ("logical-volume-id", &udf.logical_volume),
        ("volume-id", &udf.volume),
        ("implementation", &udf.implementation),
    ];
    for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
        map.insert(name.into(), json!(text));
    }
    let partitions =
        udf.partitions.iter().map(|partition| json!({ "start-block": partition.start, "blocks": partition.blocks }));
    map.insert("partitions".into(), partitions.collect());
    Value::Object(map)
}

/// What there is to say of a boot catalog.
fn catalog_json(catalog: Option<&Catalog>) -> Value {
    catalog.map_or_else(|| json!({ "unreadable": true }), Catalog::to_json)
}
