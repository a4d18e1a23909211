//! The table itself. The order of fields is Kubernetes' (by name), which a test compares with its OpenAPI document.

use super::Support::{Accepted, Fields, Items, NoEffect, Only, Refused, Resources, Works};
use super::{Field, Support, Type};

const LIFECYCLE: &str = "the full pod lifecycle is not built yet";
const ONE_NODE: &str = "there is one node, and every pod runs on it";
const NO_LSM: &str = "a WebAssembly program is confined by its engine, there is no Linux security module beside it";
const NAMESPACES: &str = "a pod shares no namespace with the node: there is nothing of the host that it may see";
const VOLUME: &str = "use emptyDir, configMap, secret, downwardAPI, projected or hostPath";
const WINDOWS: &str = "there is no Windows node";

const fn f(name: &'static str, support: Support) -> Field {
    Field { name, support }
}

/// A Pod.
pub static POD: Type = Type {
    name: "Pod",
    fields: &[
        f("apiVersion", Works),
        f("kind", Works),
        f("metadata", Works),
        f("spec", Fields(&POD_SPEC)),
        f("status", Accepted), // the API server throws a created pod's status away
    ],
};

static POD_SPEC: Type = Type {
    name: "PodSpec",
    fields: &[
        f("activeDeadlineSeconds", Works),
        f("affinity", NoEffect(ONE_NODE)),
        f("automountServiceAccountToken", Accepted),
        f("containers", Items(&CONTAINER)),
        f("dnsConfig", Works),
        f("dnsPolicy", Works),
        f("enableServiceLinks", Accepted), // there are no Services to link
        f("ephemeralContainers", Refused(LIFECYCLE)),
        f("hostAliases", Works),
        f("hostIPC", Refused(NAMESPACES)),
        f("hostNetwork", Refused(NAMESPACES)),
        f("hostPID", Refused(NAMESPACES)),
        f("hostUsers", Accepted), // no user of the host is ever used
        f("hostname", Works),
        f("hostnameOverride", Refused("use hostname")),
        f("imagePullSecrets", Accepted), // nothing is pulled
        f("initContainers", Items(&CONTAINER)),
        f("nodeName", NoEffect(ONE_NODE)),
        f("nodeSelector", NoEffect(ONE_NODE)),
        f("os", Fields(&POD_OS)),
        f("overhead", NoEffect("no RuntimeClass adds to what a pod uses")),
        f("preemptionPolicy", Accepted),
        f("priority", Accepted),
        f("priorityClassName", NoEffect("no pod is preempted")),
        f("readinessGates", Refused(LIFECYCLE)),
        f("resourceClaims", Refused("the node has no devices")),
        f("resources", Fields(&RESOURCES)),
        f("restartPolicy", Works),
        f("runtimeClassName", NoEffect("there is one runtime")),
        f("schedulerName", Only(&["default-scheduler"], "there is no other scheduler that would start the pod")),
        f("schedulingGates", Refused("nothing would ever lift the gate")),
        f("schedulingGroup", NoEffect(ONE_NODE)),
        f("securityContext", Fields(&POD_SECURITY)),
        f("serviceAccount", Accepted),
        f("serviceAccountName", Accepted),
        f("setHostnameAsFQDN", Works),
        f("shareProcessNamespace", Works),
        f("subdomain", Works),
        f("terminationGracePeriodSeconds", Works),
        f("tolerations", NoEffect(ONE_NODE)),
        f("topologySpreadConstraints", NoEffect(ONE_NODE)),
        f("volumes", Items(&VOLUMES)),
    ],
};

static POD_OS: Type = Type { name: "PodOS", fields: &[f("name", Only(&["linux"], WINDOWS))] };

static CONTAINER: Type = Type {
    name: "Container",
    fields: &[
        f("args", Works),
        f("command", Works),
        f("env", Items(&ENV_VAR)),
        f("envFrom", Works),
        f("image", Works),
        f("imagePullPolicy", Accepted), // an image is a path, which is read at each start of wasmpod
        f("lifecycle", Refused(LIFECYCLE)),
        f("livenessProbe", Refused(LIFECYCLE)),
        f("name", Works),
        f("ports", Items(&PORT)),
        f("readinessProbe", Refused(LIFECYCLE)),
        f("resizePolicy", Accepted), // nothing resizes a pod yet
        f("resources", Fields(&RESOURCES)),
        f("restartPolicy", Refused(LIFECYCLE)),
        f("restartPolicyRules", Refused(LIFECYCLE)),
        f("securityContext", Fields(&SECURITY)),
        f("startupProbe", Refused(LIFECYCLE)),
        f("stdin", NoEffect("nothing can be attached to the container yet, so its standard input is empty")),
        f("stdinOnce", Accepted),
        f("terminationMessagePath", Works),
        f("terminationMessagePolicy", Works),
        f("tty", Refused("there are no terminals for containers yet")),
        f("volumeDevices", Refused("the node has no devices")),
        f("volumeMounts", Items(&MOUNT)),
        f("workingDir", Works),
    ],
};

static ENV_VAR: Type =
    Type { name: "EnvVar", fields: &[f("name", Works), f("value", Works), f("valueFrom", Fields(&ENV_SOURCE))] };

static ENV_SOURCE: Type = Type {
    name: "EnvVarSource",
    fields: &[
        f("configMapKeyRef", Works),
        f("fieldRef", Works),
        f("fileKeyRef", Refused("use configMapKeyRef or secretKeyRef")),
        f("resourceFieldRef", Works),
        f("secretKeyRef", Works),
    ],
};

static PORT: Type = Type {
    name: "ContainerPort",
    fields: &[
        f("containerPort", Works),
        f("hostIP", Accepted),
        f("hostPort", NoEffect("no port of this machine is opened by a manifest; use --publish")),
        f("name", Works),
        f("protocol", Only(&["TCP", "UDP"], "pods have TCP and UDP")),
    ],
};

static RESOURCES: Type = Type {
    name: "ResourceRequirements",
    fields: &[f("claims", Refused("the node has no devices")), f("limits", Resources), f("requests", Resources)],
};

static SECURITY: Type = Type {
    name: "SecurityContext",
    fields: &[
        f("allowPrivilegeEscalation", Accepted), // there is nothing to escalate to
        f("appArmorProfile", NoEffect(NO_LSM)),
        f("capabilities", Fields(&CAPABILITIES)),
        f("privileged", Refused("a container never gets the host's privileges")),
        f("procMount", Only(&["Default"], "there is one /proc")),
        f("readOnlyRootFilesystem", Works),
        f("runAsGroup", Works),
        f("runAsNonRoot", Works),
        f("runAsUser", Works),
        f("seLinuxOptions", NoEffect(NO_LSM)),
        f("seccompProfile", Accepted), // a program has the WASI calls and no others
        f("windowsOptions", Refused(WINDOWS)),
    ],
};

static CAPABILITIES: Type = Type {
    name: "Capabilities",
    fields: &[
        f("add", NoEffect("a WebAssembly program has no Linux capabilities")),
        f("drop", Accepted), // there are none to drop
    ],
};

static POD_SECURITY: Type = Type {
    name: "PodSecurityContext",
    fields: &[
        f("appArmorProfile", NoEffect(NO_LSM)),
        f("fsGroup", Works),
        f("fsGroupChangePolicy", Accepted), // a pod's volumes are always new
        f("runAsGroup", Works),
        f("runAsNonRoot", Works),
        f("runAsUser", Works),
        f("seLinuxChangePolicy", Accepted),
        f("seLinuxOptions", NoEffect(NO_LSM)),
        f("seccompProfile", Accepted),
        f("supplementalGroups", Works),
        f("supplementalGroupsPolicy", Accepted), // images have no /etc/group to merge
        f("sysctls", Refused("the simulated kernel has no sysctls")),
        f("windowsOptions", Refused(WINDOWS)),
    ],
};

static MOUNT: Type = Type {
    name: "VolumeMount",
    fields: &[
        f("mountPath", Works),
        f("mountPropagation", Only(&["None"], "mounts are not shared with the node")),
        f("name", Works),
        f("readOnly", Works),
        f("recursiveReadOnly", Accepted), // no mount has mounts beneath it, so readOnly says it all
        f("subPath", Works),
        f("subPathExpr", Works),
    ],
};

static EMPTY_DIR: Type = Type {
    name: "EmptyDirVolumeSource",
    fields: &[f("medium", Only(&["Memory"], "leave it out, or use Memory")), f("sizeLimit", Works)],
};

static HOST_PATH: Type = Type {
    name: "HostPathVolumeSource",
    fields: &[
        f("path", Works),
        f(
            "type",
            Only(
                &["Directory", "DirectoryOrCreate", "File", "FileOrCreate"],
                "only directories and files of the host can be mounted",
            ),
        ),
    ],
};

static PROJECTED: Type =
    Type { name: "ProjectedVolumeSource", fields: &[f("defaultMode", Works), f("sources", Items(&PROJECTION))] };

static PROJECTION: Type = Type {
    name: "VolumeProjection",
    fields: &[
        f("clusterTrustBundle", Refused("there is no API server")),
        f("configMap", Works),
        f("downwardAPI", Works),
        f("podCertificate", Refused("there is no API server")),
        f("secret", Works),
        f("serviceAccountToken", Refused("there is no API server")),
    ],
};

static VOLUMES: Type = Type {
    name: "Volume",
    fields: &[
        f("awsElasticBlockStore", Refused(VOLUME)),
        f("azureDisk", Refused(VOLUME)),
        f("azureFile", Refused(VOLUME)),
        f("cephfs", Refused(VOLUME)),
        f("cinder", Refused(VOLUME)),
        f("configMap", Works),
        f("csi", Refused(VOLUME)),
        f("downwardAPI", Works),
        f("emptyDir", Fields(&EMPTY_DIR)),
        f("ephemeral", Refused(VOLUME)),
        f("fc", Refused(VOLUME)),
        f("flexVolume", Refused(VOLUME)),
        f("flocker", Refused(VOLUME)),
        f("gcePersistentDisk", Refused(VOLUME)),
        f("gitRepo", Refused(VOLUME)),
        f("glusterfs", Refused(VOLUME)),
        f("hostPath", Fields(&HOST_PATH)),
        f("image", Refused(VOLUME)),
        f("iscsi", Refused(VOLUME)),
        f("name", Works),
        f("nfs", Refused(VOLUME)),
        f("persistentVolumeClaim", Refused(VOLUME)),
        f("photonPersistentDisk", Refused(VOLUME)),
        f("portworxVolume", Refused(VOLUME)),
        f("projected", Fields(&PROJECTED)),
        f("quobyte", Refused(VOLUME)),
        f("rbd", Refused(VOLUME)),
        f("scaleIO", Refused(VOLUME)),
        f("secret", Works),
        f("storageos", Refused(VOLUME)),
        f("vsphereVolume", Refused(VOLUME)),
    ],
};
