// Requests in on stdin, a verdict for each out on stdout: "allowed", "denied", or "error: ...".
//
// {policies: {id: document}, requests: [{principal, action, resource, account, context, identity: [id],
// resource_policy: id | null, boundary: [id], endpoint: [id]}]}
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const load = createRequire(join(process.argv[2], 'package.json'))
const { runSimulation } = load('@cloud-copilot/iam-simulate')
const validators = load('@cloud-copilot/iam-policy')

const { policies, requests } = JSON.parse(readFileSync(0, 'utf8'))

// Each policy is validated once, as what it is used as.
const validated = new Map()
function checked(id, kind) {
  const key = `${kind} ${id}`
  if (!validated.has(key)) {
    const validate = validators[`validate${kind}Policy`]
    validated.set(key, validators.createValidatedPolicy(policies[id], validate))
  }
  return validated.get(key)
}
const named = (ids, kind) => ids.map((id) => ({ name: id, policy: checked(id, kind) }))

async function verdict(request) {
  const { identity, boundary, endpoint, resource_policy: resourcePolicy } = request
  const answer = await runSimulation(
    {
      request: {
        principal: request.principal,
        action: request.action,
        resource: { resource: request.resource, accountId: request.account },
        contextVariables: request.context
      },
      identityPolicies: named(identity, 'Identity'),
      serviceControlPolicies: [],
      resourceControlPolicies: [],
      resourcePolicy: resourcePolicy === null ? undefined : checked(resourcePolicy, 'Resource'),
      permissionBoundaryPolicies: boundary.length ? named(boundary, 'Identity') : undefined,
      vpcEndpointPolicies: endpoint.length ? named(endpoint, 'Endpoint') : undefined
    },
    {}
  )
  if (answer.resultType === 'error') return `error: ${JSON.stringify(answer.errors)}`
  if (answer.resultType === 'wildcard' && request.resource !== '*') {
    return 'error: a request is for one resource, not for a pattern'
  }
  // A key that is not looked at would make a denial worth nothing.
  const results = answer.resultType === 'wildcard' ? answer.results : [answer.result]
  const ignored = results.flatMap((result) => result.ignoredContextKeys)
  if (ignored.length) return `error: ${request.action} knows no ${ignored.join(', ')}`
  return answer.overallResult === 'Allowed' ? 'allowed' : 'denied'
}

const answers = []
for (const request of requests) {
  answers.push(await verdict(request).catch((error) => `error: ${error.message}`))
}
process.stdout.write(JSON.stringify(answers))
