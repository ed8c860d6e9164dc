//! The description of a new appliance: OVF 1.0 with one virtual machine, one controller and one disk.

use quick_xml::escape::escape;

use super::settings::Settings;
use crate::tar::header::LEN as BLOCK_LEN;

/// What a description says.
pub(super) struct Envelope {
    /// What the caller has chosen.
    pub(super) settings: Settings,
    /// Guest bytes of the disk.
    pub(super) size: u64,
}

impl Envelope {
    /// The name of the disk's file.
    pub(super) fn disk_name(&self) -> String {
        format!("{}-disk1.vmdk", self.settings.file_stem)
    }

    /// Bytes that the description takes at most, in whole blocks.
    pub(super) fn room(&self) -> usize {
        self.render(u64::MAX, u64::MAX).len().next_multiple_of(BLOCK_LEN)
    }

    /// The description of a disk of `len` bytes with `populated` guest bytes in it, with blanks up to `room` bytes.
    pub(super) fn text(&self, len: u64, populated: u64, room: usize) -> Vec<u8> {
        let mut text = self.render(len, populated).into_bytes();
        text.resize(room, b'\n');
        text
    }

    /// The description as it is.
    fn render(&self, len: u64, populated: u64) -> String {
        let Settings { os, memory_mib, cpus, adapter, name, file_stem, .. } = &self.settings;
        let (name, size, disk) = (escape(name.as_str()), self.size, self.disk_name());
        format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<Envelope ovf:version="1.0" xml:lang="en-US" xmlns="{OVF}" xmlns:ovf="{OVF}" xmlns:rasd="{CIM}/CIM_ResourceAllocationSettingData" xmlns:vssd="{CIM}/CIM_VirtualSystemSettingData" xmlns:vmw="http://www.vmware.com/schema/ovf" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <References>
    <File ovf:href="{disk}" ovf:id="file1" ovf:size="{len}"/>
  </References>
  <DiskSection>
    <Info>The virtual disks</Info>
    <Disk ovf:capacity="{size}" ovf:capacityAllocationUnits="byte" ovf:diskId="vmdisk1" ovf:fileRef="file1" ovf:format="{STREAM_OPTIMIZED}" ovf:populatedSize="{populated}"/>
  </DiskSection>
  <VirtualSystem ovf:id="{file_stem}">
    <Info>The virtual machine</Info>
    <Name>{name}</Name>
    <OperatingSystemSection ovf:id="{os_id}"{os_type}>
      <Info>The operating system</Info>
      <Description>{os_text}</Description>
    </OperatingSystemSection>
    <VirtualHardwareSection>
      <Info>The virtual hardware</Info>
      <System>
        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemIdentifier>{name}</vssd:VirtualSystemIdentifier>
        <vssd:VirtualSystemType>vmx-10</vssd:VirtualSystemType>
      </System>
      <Item>
        <rasd:AllocationUnits>hertz * 10^6</rasd:AllocationUnits>
        <rasd:Description>Number of virtual CPUs</rasd:Description>
        <rasd:ElementName>{cpus} virtual CPU(s)</rasd:ElementName>
        <rasd:InstanceID>1</rasd:InstanceID>
        <rasd:ResourceType>3</rasd:ResourceType>
        <rasd:VirtualQuantity>{cpus}</rasd:VirtualQuantity>
      </Item>
      <Item>
        <rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits>
        <rasd:Description>Memory size</rasd:Description>
        <rasd:ElementName>{memory_mib} MiB of memory</rasd:ElementName>
        <rasd:InstanceID>2</rasd:InstanceID>
        <rasd:ResourceType>4</rasd:ResourceType>
        <rasd:VirtualQuantity>{memory_mib}</rasd:VirtualQuantity>
      </Item>
      <Item>
        <rasd:Address>0</rasd:Address>
        <rasd:Description>{adapter_text}</rasd:Description>
        <rasd:ElementName>{adapter_text} 0</rasd:ElementName>
        <rasd:InstanceID>3</rasd:InstanceID>{adapter_kind}
        <rasd:ResourceType>{adapter_type}</rasd:ResourceType>
      </Item>
      <Item>
        <rasd:AddressOnParent>0</rasd:AddressOnParent>
        <rasd:ElementName>Disk 1</rasd:ElementName>
        <rasd:HostResource>ovf:/disk/vmdisk1</rasd:HostResource>
        <rasd:InstanceID>4</rasd:InstanceID>
        <rasd:Parent>3</rasd:Parent>
        <rasd:ResourceType>17</rasd:ResourceType>
      </Item>
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
"#,
            os_id = os.id,
            os_type = os.vmware.map(|name| format!(" vmw:osType=\"{name}\"")).unwrap_or_default(),
            os_text = os.text,
            adapter_text = adapter.text,
            adapter_kind = adapter
                .kind
                .map(|kind| format!("\n        <rasd:ResourceSubType>{kind}</rasd:ResourceSubType>"))
                .unwrap_or_default(),
            adapter_type = adapter.resource_type,
        )
    }
}

/// The namespace of OVF 1.x.
const OVF: &str = "http://schemas.dmtf.org/ovf/envelope/1";
/// Where the namespaces of virtual hardware are.
const CIM: &str = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2";
/// The URI of stream-optimised VMDK, as VMware's and VirtualBox's exports have it.
const STREAM_OPTIMIZED: &str = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized";
