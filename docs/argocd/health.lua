-- Generated from operator/gateway_telemetry/api by `make generate`. Do not edit.
local degraded = {
  ["CABundleContainsPrivateKey"] = true,
  ["CABundleInvalid"] = true,
  ["CABundleKeyMissing"] = true,
  ["CABundleNotFound"] = true,
  ["CABundleOverridden"] = true,
  ["CallbackNotEnabled"] = true,
  ["Conflicted"] = true,
  ["ContainerAmbiguous"] = true,
  ["ContainerNotFound"] = true,
  ["DuplicateEnv"] = true,
  ["EnvConflict"] = true,
  ["EnvFromUnreadable"] = true,
  ["FieldOwnedByOther"] = true,
  ["ForeignHeadersWouldBeSent"] = true,
  ["HostNotAllowed"] = true,
  ["InsecureScheme"] = true,
  ["InvalidBasePath"] = true,
  ["InvalidSpec"] = true,
  ["InvalidURL"] = true,
  ["KeyDoubleEncoded"] = true,
  ["KeyEmpty"] = true,
  ["KeyLegacy"] = true,
  ["KeyMalformed"] = true,
  ["KeyNotForHost"] = true,
  ["MissingScheme"] = true,
  ["MountConflict"] = true,
  ["NoMatchingWorkloads"] = true,
  ["ProjectMissing"] = true,
  ["ProjectNameNotHeaderSafe"] = true,
  ["ProjectNameUnsupportedByAdapter"] = true,
  ["ProjectNotAllowed"] = true,
  ["QueryNotAllowed"] = true,
  ["RBACDenied"] = true,
  ["RolloutFailed"] = true,
  ["SecretKeyMissing"] = true,
  ["SecretNameTaken"] = true,
  ["SecretNotFound"] = true,
  ["ServiceNotAllowed"] = true,
  ["TargetNotFound"] = true,
  ["TargetNotReady"] = true,
  ["TracingDisabledByEnv"] = true,
  ["UIURLNotAPIURL"] = true,
  ["UnsupportedScheme"] = true,
  ["UserInfoNotAllowed"] = true,
}
local health = { status = 'Progressing', message = 'Waiting for the operator' }
if obj.status == nil or obj.status.conditions == nil then return health end
if obj.status.observedGeneration ~= obj.metadata.generation then return health end
for _, condition in ipairs(obj.status.conditions) do
  if condition.type == 'Suspended' and condition.status == 'True' then
    return { status = 'Suspended', message = condition.message }
  end
end
for _, condition in ipairs(obj.status.conditions) do
  if condition.type == 'Ready' then
    health.message = condition.message
    if condition.status == 'True' then health.status = 'Healthy' end
    if condition.status == 'False' and degraded[condition.reason] then health.status = 'Degraded' end
  end
end
return health
