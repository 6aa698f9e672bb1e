-- Generated from operator/gateway_telemetry/api by `make generate`. Do not edit.
-- In the ConfigMap argocd-cm, as the value of both resource.customizations.health.gatewaytelemetry.dev_LangSmithTarget
-- and resource.customizations.health.gatewaytelemetry.dev_GatewayTelemetry.
-- Reasons that somebody must act on.
local action = {
  APINotFound = true,
  AddressNotAllowed = true,
  AnsweredByUI = true,
  BlockedInFront = true,
  BodyTooLarge = true,
  CABundleContainsPrivateKey = true,
  CABundleInvalid = true,
  CABundleKeyMissing = true,
  CABundleNotFound = true,
  CABundleOverridden = true,
  CABundleUnsupportedByAdapter = true,
  CaptureUnsupportedByAdapter = true,
  CollectorRequired = true,
  Conflicted = true,
  ConnectionRefused = true,
  ContainerAmbiguous = true,
  ContainerNotFound = true,
  ControlPlaneConflict = true,
  ControlPlaneKeyRejected = true,
  ControlPlaneRefused = true,
  DNSNotFound = true,
  DuplicateEnv = true,
  EmptyAnswer = true,
  EncodingRefused = true,
  EnvConflict = true,
  EnvFromUnreadable = true,
  FieldOwnedByOther = true,
  ForeignHeadersWouldBeSent = true,
  FoughtOver = true,
  GatewayVersionUnsupported = true,
  HostNotAllowed = true,
  InsecureScheme = true,
  InvalidBasePath = true,
  InvalidSpec = true,
  InvalidURL = true,
  KeyDoubleEncoded = true,
  KeyEmpty = true,
  KeyForbidden = true,
  KeyLegacy = true,
  KeyMalformed = true,
  KeyNotForHost = true,
  KeyRejected = true,
  MethodNotAllowed = true,
  MissingScheme = true,
  MountConflict = true,
  NoMatchingWorkloads = true,
  NotLangSmith = true,
  NotReferenced = true,
  NotVisible = true,
  OTLPRouteMissing = true,
  OrphanSpansDropped = true,
  ProjectMissing = true,
  ProjectNameNotHeaderSafe = true,
  ProjectNameUnsupportedByAdapter = true,
  ProjectNotAllowed = true,
  QueryNotAllowed = true,
  RBACDenied = true,
  ReadOnly = true,
  Redirected = true,
  ResourceAttributesUnsupportedByAdapter = true,
  ResourceConflict = true,
  ResourceGenerated = true,
  ResourceInvalid = true,
  ResourceNotFound = true,
  RolledBack = true,
  RolloutFailed = true,
  RolloutStopped = true,
  SecretKeyMissing = true,
  SecretNameTaken = true,
  SecretNotFound = true,
  ServiceNotAllowed = true,
  SpansRejected = true,
  SpendCap = true,
  TLSCertificateExpired = true,
  TLSCertificateNotYetValid = true,
  TLSExpected = true,
  TLSFailed = true,
  TLSIntercepted = true,
  TLSNotSpoken = true,
  TLSUntrusted = true,
  TLSWrongHost = true,
  TargetNotFound = true,
  TargetNotReady = true,
  TenantMismatch = true,
  TracingDisabledByEnv = true,
  UIURLNotAPIURL = true,
  UnsupportedScheme = true,
  UserInfoNotAllowed = true,
  WorkspaceMismatch = true,
  WorkspaceRequired = true,
  WrongProject = true,
}
local health = { status = 'Progressing', message = 'Waiting for the operator' }
if obj.metadata.deletionTimestamp ~= nil then
  health.message = 'Being deleted: what was written is being taken away'
  return health
end
if obj.status == nil or obj.status.conditions == nil then
  return health
end
if obj.status.observedGeneration ~= obj.metadata.generation then
  health.message = 'Waiting for the operator to see the last change'
  return health
end
local found = {}
for _, condition in ipairs(obj.status.conditions) do
  found[condition.type] = condition
end
local function holds(name)
  return found[name] ~= nil and found[name].status == 'True'
end
if holds('Suspended') then
  return { status = 'Suspended', message = found.Suspended.message }
end
local ready = found.Ready
if ready == nil then
  return health
end
health.message = ready.reason .. ': ' .. (ready.message or '')
if ready.status == 'True' then
  health.status = 'Healthy'
elseif holds('Stalled') or (action[ready.reason] and not holds('Reconciling')) then
  health.status = 'Degraded'
end
return health
