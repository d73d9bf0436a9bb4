-- Health of a RoutingStrategy for Argo CD, which knows no kstatus. Conditions are looked up by their type, so
-- that their order, and further ones, change nothing.
local function condition(name)
  for _, candidate in ipairs(obj.status.conditions or {}) do
    if candidate.type == name then
      return candidate
    end
  end
  return nil
end

local function is_true(name)
  local found = condition(name)
  return found ~= nil and found.status == "True"
end

local function message(name)
  local found = condition(name)
  return found ~= nil and found.message or ""
end

if obj.metadata.deletionTimestamp ~= nil then
  return { status = "Progressing", message = "Giving pools back" }
end
if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "Waiting for the Waypost operator" }
end
if is_true("Paused") then
  return { status = "Suspended", message = message("Paused") }
end
if is_true("Stalled") then
  return { status = "Degraded", message = message("Stalled") }
end
if is_true("Reconciling") then
  return { status = "Progressing", message = message("Reconciling") }
end
if is_true("Ready") then
  return { status = "Healthy", message = message("Ready") }
end
return { status = "Progressing", message = message("Ready") }
