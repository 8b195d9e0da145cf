import { defineConfig, type ViteUserConfig } from 'vitest/config'

// The workspace's packages are tested from their sources; the pinned Node is the one that runs vitest.
const conditions = ['@glueberry/source', 'node', 'module-sync', 'default']

const config: ViteUserConfig = defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
  test: {
    include: ['packages/*/test/**/*.test.ts', 'examples/*/test/**/*.test.ts', 'test/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    // A test that hangs is a failure; nothing is judged by how fast it is.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    reporters: ['default', ['json', { outputFile: '.report/vitest.json' }]],
  },
})

export default config
