import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    kotlin("jvm")
}

kotlin {
    explicitApi()
    compilerOptions {
        allWarningsAsErrors = true
        jvmTarget = JvmTarget.JVM_11
    }
}

java {
    sourceCompatibility = JavaVersion.VERSION_11
    targetCompatibility = JavaVersion.VERSION_11
}

dependencies {
    api(project(":decoder"))
    // The app brings the runtime: onnxruntime-android, or onnxruntime on a desktop. Their classes are the same.
    compileOnly("com.microsoft.onnxruntime:onnxruntime:1.27.0")
}
